# Names for the two commands of the README; nothing here is needed.
.PHONY: demo test
demo:
	./scripts/supervisor-session.sh demo
test:
	./scripts/supervisor-session.sh test
