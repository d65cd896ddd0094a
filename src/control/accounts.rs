//! Accounts: the command line writes their rows and has the server forget what it knew of them.

use actix_web::web::{Data, Json};

use super::messages::DoneAnswer;
use crate::app::App;

/// `POST accounts/forget`: what was revoked ends with the answer.
pub async fn forget(app: Data<App>) -> Json<DoneAnswer> {
    app.accounts.known.forget();
    Json(DoneAnswer { ok: true })
}
