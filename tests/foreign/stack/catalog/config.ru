require 'json'
require 'net/http'
require 'sinatra/base'
require 'yaml'

class Catalog < Sinatra::Base
  set :environment, :production
  set :logging, true
  set :session_secret, ENV.fetch('SESSION_SECRET')
  set :items, YAML.safe_load(File.read(ENV.fetch('ITEMS_FILE', '/app/items.yml'))).fetch('items')

  helpers do
    def fetch(url)
      uri = URI(url)
      answer = Net::HTTP.start(uri.host, uri.port, open_timeout: 3, read_timeout: 5) { |http| http.get(uri.request_uri) }
      raise "#{uri.host} answered #{answer.code} for #{uri.path}" unless answer.code == '200'
      JSON.parse(answer.body)
    end

    def price(id) = fetch("#{ENV.fetch('PRICING_URL')}/price/#{id}").fetch('price')
    def stock(id) = fetch("#{ENV.fetch('ORDERS_URL')}/stock/#{id}").fetch('left')
  end

  get('/healthz') { 'ok' }

  get('/') do
    rows = settings.items.map { |item| "<li><a href=/item/#{item['id']}>#{item['name']}</a> #{price(item['id'])}</li>" }
    "<html><body><h1>Orchard</h1><ul>#{rows.join}</ul></body></html>"
  end

  get('/item/:id') do |id|
    item = settings.items.find { |each| each['id'] == id } or halt 404, 'no such item'
    "<html><body><h1>#{item['name']}</h1>#{price(id)}, #{stock(id)} left</body></html>"
  end
end

run Catalog
