# Short names; `just` alone lists them. Everything works without just as well.

default:
    @just --list

# Everything a change has to pass
test:
    scripts/test

# Format, then lint
lint:
    cargo fmt --all
    cargo clippy --workspace --all-targets -- -D warnings

# Integration tests on SQLite; `just it sync::` for a part
it *FILTER:
    cargo test --workspace --test it -- {{FILTER}}

# Tests on a private PostgreSQL
postgres *ARGS:
    scripts/with-postgres cargo test --workspace --lib --test it -- {{ARGS}}

# All four real clients with a large application
clients:
    scripts/clients/run

# A minute of every fuzz target; `just fuzz 600 paths` for more of one
fuzz *ARGS:
    scripts/fuzz {{ARGS}}

# The mirror, from source
serve *ARGS:
    cargo run --release -- serve {{ARGS}}
