# make test does everything on a fresh Debian machine with Go and make.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MODULES := . agent contract
PACKAGES := ./... ./agent/... ./contract/...
LINT := bin/golangci-lint
# HTTP/2 is a seventh of the agent, and one small request a minute has no use for it; without inlining it is smaller by another
# twentieth, and a beat costs 6 % more.
AGENT := -tags nethttpomithttp2 -gcflags=all=-l -ldflags "-s -w"

.PHONY: help test deps vet lint race bench chaos faults reliability apart dev build fuzz clean

help: ## what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

test: deps vet apart lint race ## everything: tools, vet, lint, tests with the race detector

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
	go test -race -timeout 20m $$(go list $(PACKAGES) | grep -v /e2e)
	go test -race -timeout 20m -p 1 ./e2e ./e2e/link ./e2e/cluster ./e2e/reliability ./e2e/crashpoint
	go test -race -short -timeout 20m -p 1 ./e2e/natsfaults ./e2e/storefaults ./e2e/powerloss ./e2e/stepclock
	go test -race -short -timeout 20m -parallel 4 ./e2e/chaos

faults: deps ## one fault at a time, more rounds than in test; clocks that step, power loss, databases
	go test -race -v -timeout 0 -p 1 ./e2e/chaos ./e2e/natsfaults ./e2e/storefaults ./e2e/stepclock ./e2e/powerloss

chaos: deps ## replicas under random faults: make chaos MINUTES=10
	CHAOS_MINUTES=$(or $(MINUTES),5) go test -race -v -timeout 0 -run TestChaos ./e2e/chaos

bench: deps ## what it costs, measured: make bench PARTS="ingest pipeline" (10 minutes a run of all)
	go run ./bench/cmd/bench $(PARTS)

dev: deps ## everything as separate programs on a private NATS and Postgres, for trying by hand
	go build -o bin/dev ./e2e/cmd/dev
	exec bin/dev

build: ## all programs into bin/
	CGO_ENABLED=0 go build -trimpath -o bin/ ./standalone ./services/*/cmd/*
	CGO_ENABLED=0 go build -trimpath $(AGENT) -o bin/ ./agent/cmd/gensyn-agent

fuzz: ## fuzz the decoders, 30 seconds each
	go test -run '^$$' -fuzz FuzzDecode -fuzztime 30s ./services/ingest
	cd contract && go test -run '^$$' -fuzz FuzzParse -fuzztime 30s ./envfile
	cd agent && go test -run '^$$' -fuzz FuzzParseWords -fuzztime 30s -fuzzminimizetime 20x ./peer

clean: ## remove what was built
	rm -rf bin
