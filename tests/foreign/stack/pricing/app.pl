use Mojolicious::Lite -signatures;
use Mojo::Util qw(b64_encode b64_decode);

my $etcd = $ENV{ETCD_URL} // die "ETCD_URL is not set\n";
my $token;

app->ua->connect_timeout(3)->request_timeout(5);

sub ask ($path, $body) {
  my $headers = $token ? {Authorization => $token} : {};
  my $answer = app->ua->post("$etcd$path" => $headers => json => $body)->result;
  die "etcd says " . $answer->code . ": " . $answer->body . "\n" unless $answer->is_success;
  return $answer->json;
}

sub sign_in () {
  undef $token;
  $token = ask('/v3/auth/authenticate', {name => $ENV{ETCD_USER}, password => $ENV{ETCD_PASSWORD}})->{token};
}

hook after_dispatch => sub ($c) {
  $c->app->log->info(join ' ', $c->req->method, $c->req->url->path, $c->res->code);
};

get '/healthz' => {text => 'ok'};

get '/price/:id' => sub ($c) {
  sign_in() unless $token;
  my $found = eval { ask('/v3/kv/range', {key => b64_encode('/price/' . $c->param('id'), '')}) };
  if ($@) { sign_in(); $found = ask('/v3/kv/range', {key => b64_encode('/price/' . $c->param('id'), '')}) }
  my $row = $found->{kvs}[0] or die "no price for " . $c->param('id') . " in etcd\n";
  $c->render(json => {price => b64_decode($row->{value})});
};

app->start;
