//! The engine: supervised actors that sync packages, and the HTTP client to upstream registries.
