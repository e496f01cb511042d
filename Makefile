# The same commands on a laptop and in CI.
.PHONY: all fmt lint doc test traces soak golden openapi schemathesis deny graph fuzz demo story bench

all: fmt lint doc graph test demo

fmt:
	cargo fmt --all --check
	cargo fmt --manifest-path i3-broker/fuzz/Cargo.toml --check

lint:
	cargo clippy --workspace --all-targets --all-features -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features

# The README's test command.
test:
	cargo test --workspace

# One trace of commands on every backend, many times. In memory: this is about answers, not about durability.
traces:
	TMPDIR=/dev/shm I3_TRACE_CASES=$${I3_TRACE_CASES:-200} cargo test --workspace --test parity

# Hours of the same, of random batches, and of kill -9; every attack in full; and a million messages from device to bill.
# All of them with one choice of features, so that everything is built once.
SOAK = cargo test --release --workspace --all-features
soak:
	TMPDIR=/dev/shm I3_TRACE_CASES=2000 $(SOAK) --test parity
	I3_MODEL_CASES=5000 I3_CRASH_ROUNDS=50 $(SOAK) --test sqlite --test postgres --test mysql --test sled_store --test redb_store
	I3_ATTACKS=full $(SOAK) --test attacks
	I3_SOAK_MESSAGES=1000000 $(SOAK) --test marketplace soak -- --nocapture

# Writes the golden files anew: only when a stored format changes on purpose.
golden:
	I3_GOLDEN=write cargo test -p i3-core --test market golden::todays_text
	I3_GOLDEN=write cargo test -p i3-store-sql --all-features --test golden -- --test-threads=1
	I3_GOLDEN=write cargo test -p i3-store-sled --test golden

# Writes docs/openapi.json, problems.md, access.md, configuration.md and states.md anew: when they changed on purpose.
openapi:
	I3_GOLDEN=write cargo test -p i3-marketplace --test marketplace in_the_repository_is_todays
	I3_GOLDEN=write cargo test -p i3-core --test market states::every_command

# Licences, sources and bans; needs cargo-deny.
deny:
	cargo deny --all-features check bans licenses sources

# Each fuzz target of the gate for I3_FUZZ_SECONDS (20); needs a C++ compiler, installs cargo-fuzz.
fuzz:
	.ci/fuzz

# Requests made from docs/openapi.json's source against a server: no 5xx; installs schemathesis.
schemathesis:
	.ci/schemathesis

# Who may depend on whom.
graph:
	python3 .ci/crate-graph.py

# The README's main command.
demo:
	cargo run --release -p i3-marketplace -- demo

# The README's story by hand, with curl and Mosquitto's clients.
story:
	bash .ci/story.sh

bench:
	cargo bench -p i3-benches
