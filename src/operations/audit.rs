//! The audit log.

use serde::{Deserialize, Serialize};
use store::{AnyConnection, StoreError, audit};

use super::{Operation, Surroundings};
use crate::control::messages::AuditQuery;
use crate::registries::Refused;
use crate::views::registry::Audited;

/// Rows of the audit log, newest first.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListAudit {
    /// Which.
    pub query: AuditQuery,
}

impl Operation for ListAudit {
    type Answer = Vec<Audited>;
    const PATH: &'static str = "audit/list";
    const READS: bool = true;

    fn perform(
        self,
        rows: &mut AnyConnection,
        _: &Surroundings,
    ) -> Result<Result<Self::Answer, Refused>, StoreError> {
        let filter = match self.query.filter() {
            Ok(filter) => filter,
            Err(error) => return Ok(Err(Refused::Invalid(error.to_string()))),
        };
        Ok(Ok(audit::list(rows, &filter)?.into_iter().map(Audited::from).collect()))
    }
}
