# make test does everything on a fresh Debian machine with Go and make.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MODULES := . agent contract
PACKAGES := ./... ./agent/... ./contract/...
LINT := bin/golangci-lint
VERSION ?= dev
# HTTP/2 is a seventh of the agent, and one small request a minute has no use for it; without inlining it is smaller by another
# twentieth, and a beat costs 6 % more.
AGENT := -tags nethttpomithttp2 -gcflags=all=-l -ldflags "-s -w"

# SQLite is C that was translated to Go: with the race detector in it, what tests it takes three times the processor time, and
# the detector knows nothing of its memory anyway. All that calls it keeps the detector.
RACE := -race -gcflags=modernc.org/sqlite/lib=-race=false

# With a docker engine: the one that is there, or one of its own.
CONTAINERS := tools/containers/with.sh

.PHONY: rules packages release-check vuln k8s-check e2e-k8s e2e-systemd
.PHONY: help test tried deps vet lint race bench chaos faults reliability apart dev build images e2e-compose fuzz clean

help: ## what there is
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 15

test: deps tried lint ## everything: tools, vet, tests with the race detector, lint

tried: vet apart race # all of test but lint, which .ci/run does beside it

deps: ## install what the tests need and this machine lacks
	@tools/install.sh

vet: ## go vet
	go vet $(PACKAGES)

apart: ## every module builds without the workspace, the agent on every system
	@for m in $(MODULES); do echo "GOWORK=off go build ($$m)"; (cd $$m && GOWORK=off go build ./...); done
	@for t in linux/amd64 linux/arm64 windows/amd64 darwin/arm64; do \
	  echo "agent for $$t"; (cd agent && GOOS=$${t%/*} GOARCH=$${t#*/} CGO_ENABLED=0 go vet ./... && \
	  GOOS=$${t%/*} GOARCH=$${t#*/} CGO_ENABLED=0 go build $(AGENT) -o /dev/null ./cmd/gensyn-agent); done

$(LINT): tools/go.mod tools/go.sum
	@echo "building golangci-lint (some minutes, once)"
	cd tools && GOWORK=off go build -o ../$(LINT) github.com/golangci/golangci-lint/v2/cmd/golangci-lint

lint: $(LINT) ## golangci-lint, which also holds the architecture
	@for m in $(MODULES); do echo "lint ($$m)"; (cd $$m && $(CURDIR)/$(LINT) run --config $(CURDIR)/.golangci.yml ./...); done

race: ## tests with the race detector
	go test $(RACE) -timeout 20m $$(go list $(PACKAGES) | grep -v /e2e)
	go test $(RACE) -timeout 20m -p 1 ./e2e ./e2e/link ./e2e/cluster ./e2e/reliability ./e2e/crashpoint
	@echo "faults, which wait more than they work: two packages at a time"
	go test $(RACE) -short -timeout 20m -p 2 -parallel 4 ./e2e/chaos ./e2e/natsfaults ./e2e/storefaults ./e2e/powerloss ./e2e/stepclock

faults: deps ## one fault at a time, more rounds than in test; clocks that step, power loss, databases
	go test $(RACE) -v -timeout 0 -p 1 ./e2e/chaos ./e2e/natsfaults ./e2e/storefaults ./e2e/stepclock ./e2e/powerloss

chaos: deps ## replicas under random faults: make chaos MINUTES=10
	CHAOS_MINUTES=$(or $(MINUTES),5) go test $(RACE) -v -timeout 0 -run TestChaos ./e2e/chaos

bench: deps ## what it costs, measured: make bench PARTS="ingest pipeline" (10 minutes a run of all)
	go run ./bench/cmd/bench $(PARTS)

dev: deps ## everything as separate programs on a private NATS and Postgres, for trying by hand
	go build -o bin/dev ./e2e/cmd/dev
	exec bin/dev

build: ## all programs into bin/
	CGO_ENABLED=0 go build -trimpath -o bin/ ./standalone ./services/*/cmd/*
	CGO_ENABLED=0 go build -trimpath $(AGENT) -o bin/ ./agent/cmd/gensyn-agent

images: ## container images of all programs, gensyn-monitor/<program>:$(VERSION); also PLATFORM=linux/arm64
	$(CONTAINERS) tools/containers/build.sh $(VERSION)

e2e-compose: ## the compose deployment: started, updated, killed, restored (some minutes; SHORT=1: what CI runs)
	$(if $(SHORT),,OVERLAYS=compose.metrics.yaml) $(CONTAINERS) sh -c \
	  'tools/containers/build.sh $(if $(SHORT),,&& PLATFORM=linux/arm64 tools/containers/build.sh) && go test $(RACE) $(if $(SHORT),-short) -v -count=1 -timeout 20m ./e2e/compose'

fuzz: ## fuzz the decoders, 30 seconds each
	for f in FuzzDecode FuzzSplit FuzzEncode; do go test -run '^$$' -fuzz "^$$f$$" -fuzztime 30s ./services/ingest; done
	go test -run '^$$' -fuzz FuzzDecodeBatch -fuzztime 30s ./services/evaluator
	cd contract && go test -run '^$$' -fuzz FuzzParse -fuzztime 30s ./envfile
	cd agent && go test -run '^$$' -fuzz FuzzParseWords -fuzztime 30s -fuzzminimizetime 20x ./peer

PROMTOOL := github.com/prometheus/prometheus/cmd/promtool@v0.316.0
NFPM := github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2
GORELEASER := github.com/goreleaser/goreleaser/v2@v2.15.1
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

bin/promtool: # without the finders of every cloud
	GOWORK=off GOBIN=$(CURDIR)/bin go install -tags remove_all_sd $(PROMTOOL)

bin/nfpm:
	GOWORK=off GOBIN=$(CURDIR)/bin go install $(NFPM)

bin/goreleaser:
	GOWORK=off GOBIN=$(CURDIR)/bin go install $(GORELEASER)

bin/govulncheck:
	GOWORK=off GOBIN=$(CURDIR)/bin go install $(GOVULNCHECK)

rules: bin/promtool ## alert rules: read, and tried on made-up worlds; the dashboard's questions are read, too
	bin/promtool check rules --lint=all --lint-fatal deploy/prometheus/rules.yaml
	bin/promtool test rules deploy/prometheus/rules_test.yaml
	go run ./e2e/cmd/panels deploy/grafana/dashboard.json | bin/promtool check rules --lint=none /dev/stdin

packages: bin/nfpm ## .deb and .rpm of standalone and the agent into build/packages: make packages VERSION=1.2.3
	deploy/systemd/packages/build.sh $(VERSION:dev=0.0.0) build/packages

e2e-systemd: packages ## installs the packages under a real systemd and tries what its README says; needs root
	deploy/systemd/e2e.sh build/packages

k8s-check: ## Kubernetes manifests against a real API server; needs root, builds it first
	deploy/k8s/check.sh

e2e-k8s: ## a whole cluster: update, deleted pods, forbidden ways; needs root and the images of make e2e-compose
	tools/kubernetes/cluster.sh build all
	$(CONTAINERS) go test -count=1 -v -timeout 30m ./e2e/kubernetes

release-check: bin/goreleaser ## is the configuration of releases sound?
	bin/goreleaser check

vuln: bin/govulncheck ## known vulnerabilities in what the programs call; asks vuln.go.dev
	@for m in $(MODULES); do echo "govulncheck ($$m)"; (cd $$m && GOWORK=off $(CURDIR)/bin/govulncheck ./...); done

clean: ## remove what was built
	rm -rf bin
