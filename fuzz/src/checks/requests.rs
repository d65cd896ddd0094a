//! Whole requests: the router, every handler and the bodies they take.
//!
//! An input is text: `METHOD target`, header lines, an empty line, the body. `as: admin` and
//! `as: user` stand for a token.

/// Tokens of the mirror the requests go to.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// Of an admin.
    pub admin: String,
    /// Of somebody else.
    pub user: String,
}

/// The bytes to send; none for an input that is no request.
pub fn written(data: &[u8], tokens: &Tokens) -> Option<Vec<u8>> {
    let (head, body) = match data.windows(2).position(|window| window == b"\n\n") {
        Some(end) => (&data[..end], &data[end + 2..]),
        None => (data, &[][..]),
    };
    let head = std::str::from_utf8(head).ok()?;
    let mut lines = head.lines();
    let (method, target) = lines.next()?.split_once(' ')?;
    let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
    let is_target = target.starts_with('/') && target.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_method || !is_target {
        return None;
    }
    let mut request = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let (name, value) = match (name, value.trim()) {
            ("as", "admin") => ("authorization", format!("Bearer {}", tokens.admin)),
            ("as", "user") => ("authorization", format!("Bearer {}", tokens.user)),
            (name, value) => (name, value.to_owned()),
        };
        let ours = ["connection", "content-length", "transfer-encoding", "expect", "upgrade"];
        if !ours.iter().any(|known| name.eq_ignore_ascii_case(known)) {
            request.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
    }
    let end = format!("connection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    request.extend_from_slice(end.as_bytes());
    request.extend_from_slice(body);
    Some(request)
}

/// No request makes the mirror fail, and every error is in the common envelope.
pub fn judge(answer: &[u8]) {
    let shown = || String::from_utf8_lossy(answer);
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
        assert!(answer.is_empty(), "half an answer: {}", shown());
        return;
    };
    let head = std::str::from_utf8(&answer[..end]).expect("a head is text");
    let body = &answer[end + 4..];
    let status = head.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0_u16);
    assert!((200..600).contains(&status) && status != 500, "{}", shown());
    let is_json = head.lines().any(|line| line.starts_with("content-type: application/json"));
    if status >= 400 && is_json && !body.is_empty() {
        let body: serde_json::Value = serde_json::from_slice(body).expect("JSON");
        let error = body["error"].as_str().expect("an error");
        let reason = body["reason"].as_str().expect("a reason");
        assert!(error.starts_with('[') && error.ends_with(reason), "{error} {reason}");
    }
}
