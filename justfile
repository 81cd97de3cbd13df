# The parts of tests/run, one by one. `just check` is what CI runs.

check:
    tests/run

fmt:
    cargo fmt --check

clippy:
    cargo clippy --all-targets -- -D warnings

test *args:
    cargo nextest run {{args}}

doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items

sim seeds="4096":
    SIM_SEEDS={{seeds}} cargo nextest run --test sim

sipp:
    cargo nextest run --test sipp

bench:
    cargo bench

prompts:
    media/make.sh
