//! Handlers: extract, decide, answer.

pub mod access;
pub mod advisories;
pub mod audit;
pub mod blocks;
pub mod dist_tag;
pub mod document;
pub mod downloads;
pub mod feed;
pub mod health;
pub mod home;
pub mod hooks;
pub mod login;
pub mod manifest;
pub mod miss;
pub mod orgs;
pub mod packument;
pub mod publish;
pub mod registries;
pub mod signing;
pub mod stars;
pub mod sync;
pub mod tarball;
pub mod tasks;
pub mod tokens;
pub mod unserved;
pub mod users;
