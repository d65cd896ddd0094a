//! The feed that other mirrors follow us by.

mod pages;
mod reference;
