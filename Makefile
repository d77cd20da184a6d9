# Latentwire. Every target does its own set-up; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
DATA ?= samples
MODEL ?= ae224-fundus
STEPS ?=
WORK ?= training/work
MODELS ?= models
THREADS ?=
ONLY ?=
FAMILY ?= rd
MINUTES ?=

.PHONY: help cli-docs evaluate evaluate-rd-docs evaluate-compressai evaluate-compressai-train evaluation-compressai-lock evaluate-figures evaluate-cipher evaluate-surrogate evaluate-timing evaluate-denoising test-evaluation demo images compose-demo test attacks bit-identity setup lint proto config-docs evaluate-quick compare-quick train train-figures test-training training-lock evaluation-lock clean check-monitoring python-stubs python-lock release release-check two-sites

help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 28

setup: ## Bring ONNX Runtime's library into the checkout
	@scripts/fetch-onnxruntime.sh

demo: setup ## Send every sample from one process to another and show what arrived
	@scripts/demo.sh

images: setup ## Container images latentwire/{sender,receiver,tools}; with an image registry or without
	@scripts/images.sh

compose-demo: setup ## The demo with two containers; what arrived lies in demo-output/containers
	@scripts/compose-demo.sh

test: setup ## Format, lint, unit, integration and two-process tests
	@scripts/test.sh

attacks: setup ## The attack kit in its long form, N1 to N32; prints how many adversarial cases it has tried
	@scripts/attacks.sh

bit-identity: ## Certified decoders on emulated processors, threads and versions of ONNX Runtime, into docs/figures/bit-identity.md
	@scripts/bit-identity.sh 340 docs/figures/bit-identity.md

.PHONY: crypto-cost
crypto-cost: setup ## What the cryptography costs, beside aws-lc-rs and openssl, and its share of a journey, into docs/figures/crypto-cost.md
	@scripts/crypto-cost.sh

lint: ## Formatting and clippy alone
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

proto: ## Regenerate the checked-in protobuf code and check the schema
	cargo run --quiet -p latentwire-proto --example generate
	scripts/check-proto.sh

.PHONY: model-pins
model-pins: ## Pin the models of models/ anew, in models/PINS.toml; sender-svc and receiver-svc load no other ones by themselves
	UPDATE_PINS=1 cargo test --quiet --locked -p latentwire-tests --test model_pins

config-docs: ## Regenerate docs/CONFIGURATION.md
	UPDATE_CONFIGURATION=1 cargo test --quiet --locked -p latentwire-tests --test configuration

cli-docs: ## Regenerate the command reference of docs/CLI.md and the help files of its test
	UPDATE_HELP=1 cargo test --quiet --locked -p latentwire-cli --test help

evaluate-quick: setup evaluation/.venv/ready ## SSIM, MSE and bits per pixel through the real services (DATA=DIR)
	cargo build --quiet --profile ci --locked -p sender-svc -p receiver-svc -p latentwire-cli
	cd evaluation && .venv/bin/python -m latentwire_evaluation.quick --data "$(abspath $(DATA))"

compare-quick: evaluation/.venv/ready ## Bytes of today's codecs at the SSIM of the last evaluate-quick (same DATA=DIR)
	cd evaluation && .venv/bin/python -m latentwire_evaluation.peers --data "$(abspath $(DATA))"

evaluate: setup evaluation/.venv/ready ## Both papers and today's codecs: every table and figure into evaluation/report/report.{html,md,json} (DATA=DIR [ONLY=section,section]); with MODELS=rd the rd family against the codecs, into rd.{html,md,json}
	cargo build --quiet --profile ci --locked -p sender-svc -p receiver-svc -p latentwire-cli
ifeq ($(MODELS),rd)
	cargo build --quiet --profile ci --locked -p latentwire-codec --example journey_cost
endif
	cd evaluation && .venv/bin/python -m latentwire_evaluation.report --data "$(abspath $(DATA))" $(if $(filter rd,$(MODELS)),--page rd --family "$(FAMILY)") $(if $(ONLY),--only "$(ONLY)")

evaluate-rd-docs: evaluation/.venv/ready ## The tables of docs/MODELS.md and the plots docs/figures/rd-*.svg, out of the last evaluation/report/rd.json
	cd evaluation && .venv/bin/python -m latentwire_evaluation.rd.fill

evaluate-compressai: evaluation/compressai/.venv/ready ## The trained CompressAI baseline on the test pictures, for MODELS=rd to set beside the codecs (DATA=DIR)
	cd evaluation && compressai/.venv/bin/python -W ignore -m latentwire_evaluation.compressai_baseline.points --data "$(abspath $(DATA))"

evaluate-compressai-train: evaluation/compressai/.venv/ready ## CompressAI's mean-scale hyperprior on the openly licensed training pictures, one core (DATA=DIR [MINUTES=5 a modality]); resumes
	cd evaluation && nice -n 19 compressai/.venv/bin/python -W ignore -m latentwire_evaluation.compressai_baseline.train --data "$(abspath $(DATA))" $(if $(MINUTES),--minutes "$(MINUTES)")

evaluate-figures: evaluation/.venv/ready ## The README's plots, docs/figures, out of the last whole report
	cd evaluation && .venv/bin/python -m latentwire_evaluation.figures

evaluate-cipher: evaluation/.venv/ready ## Paper B's tables and figures of its cipher, and attacks on it, alone, into evaluation/report/cipher.{html,md,json} (DATA=DIR)
	cd evaluation && .venv/bin/python -m latentwire_evaluation.report --only b-cipher --name cipher --data "$(abspath $(DATA))"

evaluate-surrogate: evaluation/.venv/ready ## What latents give away without paper A's secret decoder, alone, into evaluation/report/surrogate.{html,md,json} (DATA=DIR)
	cd evaluation && .venv/bin/python -m latentwire_evaluation.report --only a-surrogate --name surrogate --data "$(abspath $(DATA))"

evaluate-timing: setup evaluation/.venv/ready ## Paper A's tables of time, with the nets that they leave out, alone, into evaluation/report/timing.{html,md,json} (DATA=DIR)
	cargo build --quiet --profile ci --locked -p sender-svc -p receiver-svc -p latentwire-cli
	cd evaluation && .venv/bin/python -m latentwire_evaluation.report --only a-timing --name timing --data "$(abspath $(DATA))"

evaluate-denoising: setup evaluation/.venv/ready ## Paper A's Table 6, noise before and after the net, alone, into evaluation/report/denoising.{html,md,json} (DATA=DIR)
	cargo build --quiet --profile ci --locked -p sender-svc -p receiver-svc -p latentwire-cli
	cd evaluation && .venv/bin/python -m latentwire_evaluation.report --only a-denoising --name denoising --data "$(abspath $(DATA))"

test-evaluation: evaluation/.venv/ready ## The evaluation's own tests
	cd evaluation && .venv/bin/python -m pytest -q tests

train: training/.venv/ready ## From a folder of pictures to models/<id>/ (MODEL=ae224-fundus or my.toml, DATA=DIR [STEPS=N]); resumes
	PYTHONPATH=training training/.venv/bin/python -m latentwire_training.train --model "$(MODEL)" --data "$(DATA)" --work "$(WORK)" --models "$(MODELS)" $(if $(STEPS),--steps $(STEPS)) $(if $(THREADS),--threads $(THREADS))

train-figures: setup training/.venv/ready ## Measure a trained model on DATA's test pictures through the product and put it on its card (MODEL=, DATA=DIR)
	scripts/train-figures.sh "$(MODEL)" "$(DATA)" "$(MODELS)" "$(WORK)"

test-training: training/.venv/ready ## The Python side's own tests (PyTorch; not part of make test)
	cd training && .venv/bin/python -m pytest -q tests

training-lock: ## Resolve training/requirements.txt again into training/requirements.lock, hashes included
	$(PYTHON) -m venv training/.venv-lock
	training/.venv-lock/bin/pip install --quiet --disable-pip-version-check pip-tools==7.6.2
	cd training && env -u PIP_FIND_LINKS .venv-lock/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-options --no-header -o requirements.lock requirements.txt
	rm -rf training/.venv-lock

training/.venv/ready: training/requirements.lock
	$(PYTHON) -m venv training/.venv
	training/.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r training/requirements.lock
	@touch $@

check-monitoring: setup ## Alerts, dashboard and docs/OPERATIONS.md against running services, and against a real Prometheus
	cargo build --quiet --workspace --locked
	cargo test --quiet --workspace --locked --test monitoring
	@scripts/check-monitoring.sh

python-stubs: examples/python/.venv/ready ## Regenerate the stubs of examples/python from proto/
	examples/python/.venv/bin/python examples/python/generate.py

python-lock: ## Resolve examples/python/*.in again into its requirements, hashes included
	$(PYTHON) -m venv examples/python/.venv-lock
	examples/python/.venv-lock/bin/pip install --quiet --disable-pip-version-check pip-tools==7.6.2
	cd examples/python && for name in requirements requirements-dev; do env -u PIP_FIND_LINKS .venv-lock/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-options --no-header -o $$name.txt $$name.in || exit; done
	rm -rf examples/python/.venv-lock

examples/python/.venv/ready: examples/python/requirements-dev.txt
	$(PYTHON) -m venv examples/python/.venv
	examples/python/.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r examples/python/requirements-dev.txt
	@touch $@

.PHONY: fuzz deny sbom
fuzz: ## Each fuzz target for a set time (SECONDS=60 [TARGET=name]); libFuzzer where a nightly toolchain is there
	@SECONDS_EACH=$(or $(filter-out 0,$(SECONDS)),60) scripts/fuzz.sh $(TARGET)

deny: ## Licences, bans and sources of every crate; advisories where the database can be reached (builds cargo-deny once)
	@scripts/deny.sh

sbom: setup ## Bill of materials of the programs, CycloneDX, in target/sbom.cdx.json
	@mkdir -p target
	@scripts/sbom.py -o target/sbom.cdx.json
	@echo target/sbom.cdx.json

.PHONY: interop-lock
interop-lock: ## Resolve tests/interop/requirements.in again into requirements.txt, hashes included
	$(PYTHON) -m venv tests/interop/.venv-lock
	tests/interop/.venv-lock/bin/pip install --quiet --disable-pip-version-check pip-tools==7.6.2
	cd tests/interop && env -u PIP_FIND_LINKS .venv-lock/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-options --no-header -o requirements.txt requirements.in
	rm -rf tests/interop/.venv-lock

tests/interop/.venv/ready: tests/interop/requirements.txt
	$(PYTHON) -m venv tests/interop/.venv
	tests/interop/.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r tests/interop/requirements.txt
	@touch $@

evaluation-lock: ## Resolve evaluation/requirements.txt again into evaluation/requirements.lock, hashes included
	$(PYTHON) -m venv evaluation/.venv-lock
	evaluation/.venv-lock/bin/pip install --quiet --disable-pip-version-check pip-tools==7.6.2
	cd evaluation && env -u PIP_FIND_LINKS .venv-lock/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-options --no-header -o requirements.lock requirements.txt
	rm -rf evaluation/.venv-lock

evaluation-compressai-lock: ## Resolve evaluation/compressai/requirements.txt again into its requirements.lock, hashes included
	$(PYTHON) -m venv evaluation/compressai/.venv-lock
	evaluation/compressai/.venv-lock/bin/pip install --quiet --disable-pip-version-check pip-tools==7.6.2
	cd evaluation/compressai && env -u PIP_FIND_LINKS .venv-lock/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-options --no-header -o requirements.lock requirements.txt
	rm -rf evaluation/compressai/.venv-lock

evaluation/compressai/.venv/ready: evaluation/compressai/requirements.lock
	$(PYTHON) -m venv evaluation/compressai/.venv
	evaluation/compressai/.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r evaluation/compressai/requirements.lock
	@touch $@

evaluation/.venv/ready: evaluation/requirements.lock
	$(PYTHON) -m venv evaluation/.venv
	evaluation/.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r evaluation/requirements.lock
	@touch $@

release: ## Tarball, .deb and SHA256SUMS of this checkout, in target/dist
	@scripts/release.sh

release-check: ## Build the commit twice, in two folders, and compare the hashes (two release builds: long)
	@scripts/release-check.sh

two-sites: ## Two hospitals in network namespaces: every command of deploy/two-sites/README.md (root)
	@scripts/test-release.sh two-sites

clean: ## Remove what was built (not the fetched library)
	cargo clean
	rm -rf demo-output evaluation/report
