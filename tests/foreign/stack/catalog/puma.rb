port 9292
threads 2, 4
workers 0
environment 'production'
