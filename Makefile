# The same commands on a laptop and in CI.
.PHONY: all fmt lint doc test deny graph demo story bench

all: fmt lint doc graph test demo

fmt:
	cargo fmt --all --check

lint:
	cargo clippy --workspace --all-targets --all-features -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features

# The README's test command.
test:
	cargo test --workspace

# Licences, sources and bans; needs cargo-deny.
deny:
	cargo deny --all-features check bans licenses sources

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
