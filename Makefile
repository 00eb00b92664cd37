SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --warn-undefined-variables --no-builtin-rules --no-print-directory

BIN := $(abspath .bin)
export PATH := $(BIN):$(PATH)

# Tools are built from these versions into .bin and nowhere else.
BUF_VERSION := v1.75.0
PROTOC_GEN_GO_VERSION := v1.36.11
GOLANGCI_LINT_VERSION := v2.14.0
VERSITYGW_VERSION := v1.8.0

MODULES := proto connectors/sdk connectors services
CONNECTORS := billing crm analytics adtech
PROGRAMS := habeas habeas-connector habeas-demo habeas-instant $(addprefix habeas-,$(CONNECTORS))

.PHONY: help
help: ## List the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

.PHONY: up
up: build ## Start everything on this machine, with the demo company; the console's address is printed
	$(BIN)/habeas up

.PHONY: demo
demo: build ## Show a copy, a report, a deletion and an opt-out by signal, and check the evidence
	$(BIN)/habeas demo

# As in the images: the compiler knows from a profile what to make fast.
.PHONY: profiled
profiled:
	@CGO_ENABLED=0 go build -trimpath -pgo services/cmd/habeas/habeas.pgo -o $(BIN)/profiled/habeas ./services/cmd/habeas
	@CGO_ENABLED=0 go build -trimpath -pgo connectors/sdk/connector.pgo -o $(BIN)/profiled/habeas-instant ./connectors/cmd/habeas-instant

.PHONY: bench
bench: profiled ## Measure requests per second against this machine's own limits
	HABEAS_DURABLE=1 scripts/postgres-for-tests.sh $(BIN)/profiled/habeas bench

# A profile names the program it is of: it is taken in a folder that is nobody's.
.PHONY: profile
profile: PROFILES := /tmp/habeas-profile
profile: build ## Make the profiles anew that the compiler learns from
	rm -rf $(PROFILES) && mkdir -p $(PROFILES) && cp $(BIN)/habeas $(BIN)/habeas-instant $(PROFILES)
	HABEAS_DURABLE=1 HABEAS_INSTANT_PROFILES=$(PROFILES) scripts/postgres-for-tests.sh \
		$(PROFILES)/habeas bench --requests 20000 --idle 20 --cpuprofile $(PROFILES)/habeas.prof
	go tool pprof -proto -output services/cmd/habeas/habeas.pgo $(PROFILES)/habeas.prof
	go tool pprof -proto -output connectors/sdk/connector.pgo $(PROFILES)/instant-*.prof
	rm -rf $(PROFILES)

.PHONY: bench-sqlmap
bench-sqlmap: ## Measure people erased per second from a million-row PostgreSQL database, beside SQL written by hand
	HABEAS_DURABLE=1 scripts/postgres-for-tests.sh go test -C connectors -run '^$$' -bench BenchmarkErase -benchtime 1x ./sqlmap

.PHONY: bench-export
bench-export: ## Copy 5 GB out of PostgreSQL and show the most memory that took
	HABEAS_EXPORT_MB=$${HABEAS_EXPORT_MB:-5120} scripts/postgres-for-tests.sh go test -C connectors -count 1 -v -run 'TestExportOfGigabytes/postgres' ./sqlmap

.PHONY: bench-console
bench-console: ## Measure what every page of the console reads, over a million requests
	scripts/postgres-for-tests.sh go test -C services -run '^$$' -bench BenchmarkListing -benchtime 50x -timeout 20m ./request/store/pgstore

# The race detector watches our code and every library, but not the inside of
# SQLite: that is C turned into Go, its memory is its own, and being watched it
# takes most of the tests' time.
UNWATCHED := -race=false -d=checkptr=0
RACE := -race -gcflags='modernc.org/sqlite/lib=$(UNWATCHED)' -gcflags='modernc.org/libc/...=$(UNWATCHED)'

# They begin first, so that no core waits for the last of them alone.
LONGEST := ./services/e2e ./services/console ./services/coordinator ./connectors/lake

.PHONY: test
test: $(BIN)/.versitygw-$(VERSITYGW_VERSION) ## All tests of all modules; installs or starts what they need
	scripts/needs.sh
	scripts/postgres-for-tests.sh go test $(RACE) -timeout 20m $(LONGEST) work

.PHONY: check
check: fmt-check vet lint proto-check tidy-check test ## What CI runs

.PHONY: build
build: $(addprefix $(BIN)/,$(PROGRAMS)) ## Build all programs into .bin

# Go knows what is up to date; make always asks it.
.PHONY: FORCE
FORCE:
$(BIN)/habeas: FORCE
	@CGO_ENABLED=0 go build -trimpath -o $@ ./services/cmd/habeas
$(BIN)/habeas-connector $(BIN)/habeas-demo $(BIN)/habeas-instant: FORCE
	@CGO_ENABLED=0 go build -trimpath -o $@ ./connectors/cmd/$(@F)
$(addprefix $(BIN)/habeas-,$(CONNECTORS)): $(BIN)/habeas-%: FORCE
	@CGO_ENABLED=0 go build -trimpath -o $@ ./connectors/$*

.PHONY: fmt
fmt: tools ## Format Go and protobuf files
	gofmt -w $(MODULES)
	cd proto && buf format -w

.PHONY: fmt-check
fmt-check:
	@echo "== format"
	@unformatted=$$(gofmt -l $(MODULES)); \
	if [ -n "$$unformatted" ]; then echo "not formatted; run make fmt:"; echo "$$unformatted"; exit 1; fi

.PHONY: vet
vet:
	@echo "== vet"
	go vet work

.PHONY: lint
lint: $(BIN)/.golangci-lint-$(GOLANGCI_LINT_VERSION) ## Run the linters
	@for module in $(MODULES); do \
		echo "== lint $$module"; \
		(cd $$module && GOMEMLIMIT=3GiB golangci-lint run --allow-parallel-runners ./...); \
	done

.PHONY: compliance
compliance: ## Write docs/compliance.md from services/compliance/rows.yaml
	go test ./services/compliance -update

.PHONY: proto
proto: $(BIN)/.buf-$(BUF_VERSION) $(BIN)/.protoc-gen-go-$(PROTOC_GEN_GO_VERSION) ## Generate Go from the contract
	cd proto && buf generate

.PHONY: schemas
schemas: ## Write the JSON Schemas of the connectors' YAML files from their types
	go test ./connectors/cmd/habeas-connector -run TestSchemasAreWritten -update

.PHONY: proto-check
proto-check: $(BIN)/.buf-$(BUF_VERSION) $(BIN)/.protoc-gen-go-$(PROTOC_GEN_GO_VERSION)
	scripts/check-proto.sh

.PHONY: tidy-check
tidy-check:
	@for module in $(MODULES); do \
		echo "== tidy $$module"; \
		(cd $$module && GOWORK=off go mod tidy -diff); \
	done

.PHONY: tools
tools: $(BIN)/.buf-$(BUF_VERSION) $(BIN)/.protoc-gen-go-$(PROTOC_GEN_GO_VERSION) $(BIN)/.golangci-lint-$(GOLANGCI_LINT_VERSION) ## Install the pinned tools into .bin

# A tool's stamp carries its version, so that a new one is installed when the
# number above changes.
$(BIN)/.buf-$(BUF_VERSION):
	@echo "== install buf $(BUF_VERSION)"
	GOBIN=$(BIN) go install github.com/bufbuild/buf/cmd/buf@$(BUF_VERSION)
	@touch $@
$(BIN)/.protoc-gen-go-$(PROTOC_GEN_GO_VERSION):
	@echo "== install protoc-gen-go $(PROTOC_GEN_GO_VERSION)"
	GOBIN=$(BIN) go install google.golang.org/protobuf/cmd/protoc-gen-go@$(PROTOC_GEN_GO_VERSION)
	@touch $@
# The S3 server of the tests. It is a program and not a dependency, because it
# would bring the clients of three clouds into the connectors' module.
$(BIN)/.versitygw-$(VERSITYGW_VERSION):
	@echo "== install versitygw $(VERSITYGW_VERSION)"
	GOBIN=$(BIN) go install github.com/versity/versitygw/cmd/versitygw@$(VERSITYGW_VERSION)
	@touch $@
$(BIN)/.golangci-lint-$(GOLANGCI_LINT_VERSION):
	@echo "== install golangci-lint $(GOLANGCI_LINT_VERSION); the first time takes some minutes"
	GOBIN=$(BIN) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	@touch $@
