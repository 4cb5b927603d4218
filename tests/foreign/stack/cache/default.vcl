vcl 4.1;

backend default {
  .host = "catalog";
  .port = "9292";
  .connect_timeout = 2s;
  .first_byte_timeout = 6s;
}

sub vcl_backend_response {
  set beresp.ttl = 1s;
  set beresp.grace = 0s;
}
