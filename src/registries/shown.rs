//! A registry as others see it: its token stays inside.

use serde_json::{Value, json};
use store::registries::RegistryRow;

use crate::config::without_credentials;

/// A registry in the audit log.
#[must_use]
pub fn for_audit(row: &RegistryRow) -> Value {
    json!({
        "host": without_credentials(&row.host),
        "type": row.kind,
        "userPrefix": row.user_prefix,
        "changeStream": row.change_stream,
        "rate": row.rate,
        "hasAuthToken": row.token.is_some(),
    })
}
