# Atelier. `make run` and `make test` are all that a newcomer needs; each
# installs what it needs, or says in one line what is missing.

SHELL := /bin/bash
GO ?= go
TOOL := $(GO) tool -modfile=tools/go.mod

export NEXT_TELEMETRY_DISABLED := 1

.PHONY: run dev build compiled test test-go test-web screens test-quick torture lint generate bench clean need-go need-npm need-java need-python need-kcat need-chromium lighthouse

# The parts' own lines stay in sight; ATELIER_LOG_LEVEL=info shows their life.
run: build
	ATELIER_LOG_LEVEL=$${ATELIER_LOG_LEVEL:-warn} ./bin/atelier up

build: need-go need-npm
	@$(MAKE) --no-print-directory --silent -j 2 web/dist/index.html compiled
	$(GO) build -o bin/atelier ./cmd/atelier

# What needs no screens, while npm fetches what they need.
compiled: need-go
	@$(GO) build ./api ./bench ./check/... ./internal/... ./processors/... ./projections

# The screens are exported into web/dist, from where the binary brings them along.
web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	@echo 'fetching what the screens need'; cd web && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

web/dist/index.html: web/node_modules/.package-lock.json web/next.config.mjs web/export.mjs $(shell find web/src web/public web/absent -type f)
	@echo 'building the screens'; cd web && said=$$(npm run --silent build 2>&1) || { echo "$$said"; exit 1; }

# The api and `next dev` together, both with live reload: what the browser asks at
# 127.0.0.1:3000 goes on to the api, the stream unbuffered. Sample data are there.
dev: need-go need-npm web/dist/index.html
	./web/dev.sh

# The suites run on both brokers from the same code: deploy/kafka/run starts a
# real Kafka and a private Postgres, runs the tests and stops both. Other people's
# clients (deploy/strangers) and a real registry (deploy/registry) are tried too.
test: need-java need-python need-kcat need-chromium build
	$(GO) run ./deploy/kafka/run -- $(MAKE) --no-print-directory test-go
	$(MAKE) --no-print-directory test-web

# What only counts in pixels: the race detector makes it ten times as long, and that was
# most of the work of every test that has images made. So it watches these packages in
# those of their own tests in which goroutines meet, and in all others everything but them.
PIXELS := atelier/internal/picture atelier/internal/picture/overlay atelier/processors/quality atelier/processors/gemini/standin
UNWATCHED := $(foreach package,image/... golang.org/x/image/... $(PIXELS),-gcflags=$(package)=-race=false)

# The servers are those that deploy/kafka/run has started; vetted is all by then. The
# detector watches every test on the embedded broker; on the real Kafka, where it would see
# the same code three times as long, the tests run without it. It has no part in what
# check/torture and cmd/atelier start, which are processes, nor in other people's clients.
# Most of these wait most of their time, so that three packages run at once. TestLoad has the
# machine for itself.
ALONE := atelier/check/torture|atelier/cmd/.*|atelier/deploy/.*
test-go:
	$(GO) test -vet=off $(PIXELS)
	$(GO) test -vet=off -race ./processors/gemini/standin
	$(GO) test -vet=off -race -run ShareNothing ./internal/picture
	ATELIER_TEST_BROKERS_ONLY=embedded $(GO) test -vet=off -race -tags rough $(UNWATCHED) -p 3 -timeout 20m \
		$$($(GO) list ./... | grep -vxE '$(subst $() ,|,$(PIXELS))|$(ALONE)')
	ATELIER_TEST_BROKERS_ONLY=kafka $(GO) test -vet=off -tags rough -p 3 -timeout 20m -skip '^TestLoad$$' \
		./api ./internal/kafka/... ./internal/deadletters ./internal/media ./processors/decider ./processors/generator ./processors/janitor ./projections ./schemas
	$(GO) test -vet=off -tags rough -p 3 -parallel 3 -timeout 20m ./check/torture ./cmd/... ./deploy/...
	ATELIER_TEST_BROKERS_ONLY=kafka $(GO) test -vet=off -run '^TestLoad$$' ./api

# The screens in a real browser, against the program as people run it.
web/test/node_modules/.package-lock.json: web/test/package.json web/test/package-lock.json
	cd web/test && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

test-web: need-chromium build web/test/node_modules/.package-lock.json
	cd web/test && npm test --silent

# Pictures of every screen and state, in three widths and both themes, for people to
# look at: out/screens.
screens: need-chromium build web/test/node_modules/.package-lock.json
	cd web/test && node screens.mjs

# Lighthouse's figures of create and the gallery; alone on the machine, or they say little.
lighthouse: need-chromium build web/test/node_modules/.package-lock.json
	cd web/test && npm run --silent lighthouse

# Without what is real or other people's: for the minute between two thoughts.
test-quick: need-go need-npm
	ATELIER_TEST_BROKERS_ONLY=embedded $(GO) test ./...

# The long form of check/torture: KILLS of roles and of everything, members that come
# and go for minutes. It takes an hour or so, and says how far it is.
KILLS ?= 100
torture: need-go need-npm need-java
	$(GO) run ./deploy/kafka/run -- $(GO) test -v -timeout 6h ./check/torture -args -kills=$(KILLS)

lint: need-go # golangci-lint has vet in it
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo 'not formatted: gofmt -w'; exit 1; }
	$(TOOL) golangci-lint run ./...
	$(MAKE) --no-print-directory generate
	@git diff --exit-code --stat -- schemas api web/src/api || { echo 'generated code differs: commit what make generate wrote'; exit 1; }
	cd web && npm run --silent check

generate: need-go need-npm web/node_modules/.package-lock.json
	$(GO) run ./schemas/generate
	$(TOOL) oapi-codegen -config api/oapi-codegen.yaml api/openapi.yaml
	@gofmt -w schemas/records_gen.go api/openapi_gen.go
	@cd web && npm run --silent generate >/dev/null 2>&1

bench: need-go need-npm
	$(GO) test -run '^$$' -bench . -benchmem ./...
	$(GO) run ./cmd/atelier bench decide
	$(GO) run ./cmd/atelier bench images

clean:
	rm -rf bin .atelier out web/.next web/out web/dist/* web/node_modules web/test/node_modules

need-go:
	@command -v $(GO) >/dev/null || { echo 'missing: Go 1.26 or newer (package golang, or the toolchain of the Go project)'; exit 1; }

need-npm:
	@command -v npm >/dev/null || { echo 'missing: npm (Node.js 20 or newer), which brings the embedded Postgres'; exit 1; }

need-java:
	@command -v java >/dev/null || { echo 'missing: Java 17 or newer (package openjdk-17-jre-headless), for the real Kafka of the tests'; exit 1; }
	@command -v mvn >/dev/null || { echo 'missing: Maven (package maven), which brings the real Kafka of the tests'; exit 1; }
	@for java in "$${JAVA_HOME_25:-/nowhere}/bin/java" java /usr/lib/jvm/*/bin/java; do "$$java" -version 2>&1; done | grep -qE 'version "(2[1-9]|[3-9][0-9])' || \
		{ echo 'missing: Java 21 or newer (on the path, in /usr/lib/jvm or where JAVA_HOME_25 says; Temurin 25, say), for the real registry of the tests'; exit 1; }

# What Debian has a package for is installed where that is possible.
APT = test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq

need-python:
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { $(APT) python3 python3-venv >/dev/null; } || \
		{ echo 'missing: Python 3.11 or newer with venv (packages python3 and python3-venv), for the tests with confluent-kafka'; exit 1; }

need-kcat:
	@command -v kcat >/dev/null || { $(APT) kcat >/dev/null; } || \
		{ echo 'missing: kcat (package kcat), for the tests with other clients'; exit 1; }

need-chromium:
	@test -x "$${CHROMIUM:-/usr/bin/chromium}" || { $(APT) chromium >/dev/null; } || \
		{ echo 'missing: chromium (package chromium; or CHROMIUM, the path to one), for the tests of the screens'; exit 1; }
