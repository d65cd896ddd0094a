//! The tables, in the column types that SQLite and PostgreSQL share.
//!
//! Times are unix milliseconds (`_at_ms`), digests binary, states text. A test compares this file
//! with what the migrations make on both databases.

#![expect(missing_docs, reason = "the macro makes public items without documentation")]

diesel::table! {
    packages (id) {
        id -> BigInt,
        name -> Text,
        registry -> Text,
        keep -> Text,
        status -> Text,
        revision -> BigInt,
        etag -> Nullable<Text>,
        last_modified -> Nullable<Text>,
        document_digest -> Nullable<Binary>,
        document_encoding -> Nullable<Text>,
        document_stored_bytes -> Nullable<BigInt>,
        document_body_bytes -> Nullable<BigInt>,
        upstream_rev -> Nullable<Text>,
        modified -> Nullable<Text>,
        checked_at_ms -> BigInt,
        changed_at_ms -> BigInt,
        gone_at_ms -> Nullable<BigInt>,
    }
}

diesel::table! {
    versions (package_id, version) {
        package_id -> BigInt,
        version -> Text,
        manifest -> Binary,
        tarball_url -> Nullable<Text>,
        tarball_file -> Text,
        expected -> Nullable<Text>,
        state -> Text,
        blob -> Nullable<Binary>,
        size_bytes -> Nullable<BigInt>,
        reason -> Nullable<Text>,
        removed_at_ms -> Nullable<BigInt>,
        signature -> Nullable<Text>,
        published_at_ms -> Nullable<BigInt>,
        licence -> Nullable<Text>,
        announced_bytes -> Nullable<BigInt>,
        install_scripts -> Nullable<Text>,
    }
}

diesel::table! {
    dist_tags (package_id, tag) {
        package_id -> BigInt,
        tag -> Text,
        version -> Text,
    }
}

diesel::table! {
    blobs (digest) {
        digest -> Binary,
        segment -> BigInt,
        start_bytes -> BigInt,
        length_bytes -> BigInt,
    }
}

diesel::table! {
    segments (id) {
        id -> BigInt,
        durable_bytes -> BigInt,
        sealed -> Bool,
    }
}

diesel::table! {
    renderings (package_id, form, encoding, base) {
        package_id -> BigInt,
        form -> Text,
        encoding -> Text,
        base -> Text,
        revision -> BigInt,
        policy_epoch -> BigInt,
        digest -> Binary,
        etag -> Text,
        body_bytes -> BigInt,
    }
}

diesel::table! {
    tasks (id) {
        id -> Text,
        name -> Text,
        registry -> Text,
        state -> Text,
        priority -> Integer,
        options -> Text,
        attempts -> Integer,
        error -> Nullable<Text>,
        author -> Nullable<Text>,
        author_ip -> Nullable<Text>,
        created_at_ms -> BigInt,
        updated_at_ms -> BigInt,
        not_before_ms -> BigInt,
        leased_by -> Nullable<Text>,
        lease_until_ms -> Nullable<BigInt>,
        failure -> Nullable<Text>,
    }
}

diesel::table! {
    task_logs (id) {
        id -> BigInt,
        task_id -> Text,
        body -> Text,
    }
}

diesel::table! {
    local_seq (id) {
        id -> BigInt,
        value -> BigInt,
    }
}

diesel::table! {
    changes (seq) {
        seq -> BigInt,
        name -> Text,
        kind -> Text,
        rev -> Text,
        version -> Nullable<Text>,
        deleted -> Bool,
        at_ms -> BigInt,
    }
}

diesel::table! {
    alarms (id) {
        id -> BigInt,
        name -> Text,
        message -> Text,
        at_ms -> BigInt,
    }
}

diesel::table! {
    registries (name) {
        name -> Text,
        host -> Text,
        source -> Text,
        stored_at_ms -> BigInt,
        kind -> Text,
        user_prefix -> Text,
        change_stream -> Text,
        token -> Nullable<Text>,
        rate -> BigInt,
        created_at_ms -> BigInt,
        id -> Text,
        updated_at_ms -> BigInt,
    }
}

diesel::table! {
    settings (key) {
        key -> Text,
        value -> Text,
    }
}

diesel::table! {
    users (name) {
        name -> Text,
        admin -> Bool,
        created_at_ms -> BigInt,
        email -> Nullable<Text>,
        password -> Nullable<Text>,
        disabled -> Bool,
        updated_at_ms -> BigInt,
    }
}

diesel::table! {
    login_sessions (done_key) {
        done_key -> Binary,
        login_key -> Binary,
        hostname -> Nullable<Text>,
        address -> Nullable<Text>,
        user_name -> Nullable<Text>,
        expires_at_ms -> BigInt,
    }
}

diesel::table! {
    sign_in_links (key) {
        key -> Binary,
        user_name -> Text,
        expires_at_ms -> BigInt,
    }
}

diesel::table! {
    tokens (key) {
        key -> Binary,
        user_name -> Text,
        mark -> Text,
        readonly -> Bool,
        automation -> Bool,
        cidr -> Text,
        created_at_ms -> BigInt,
        expires_at_ms -> Nullable<BigInt>,
        last_used_at_ms -> Nullable<BigInt>,
        kind -> Text,
        name -> Nullable<Text>,
        description -> Nullable<Text>,
        packages -> Text,
        scopes -> Text,
    }
}

diesel::table! {
    feeds (registry) {
        registry -> Text,
        url -> Text,
        epoch -> BigInt,
        seq -> Nullable<BigInt>,
        head -> Nullable<BigInt>,
        row_at_ms -> BigInt,
        caught_up_at_ms -> BigInt,
        recheck_after -> Nullable<Text>,
        alarm -> Nullable<Text>,
        held_by -> Nullable<Text>,
        held_until_ms -> BigInt,
        paused_by -> Nullable<Text>,
        paused_at_ms -> Nullable<BigInt>,
    }
}

diesel::table! {
    registry_keys (registry, keyid) {
        registry -> Text,
        keyid -> Text,
        keytype -> Text,
        scheme -> Text,
        key -> Text,
        expires -> Nullable<Text>,
        first_seen_at_ms -> BigInt,
    }
}

diesel::table! {
    kept_answers (registry, path) {
        registry -> Text,
        path -> Text,
        body -> Nullable<Binary>,
        checked_at_ms -> BigInt,
    }
}

diesel::table! {
    blocks (name, version) {
        name -> Text,
        version -> Text,
        id -> Text,
        kind -> Text,
        reason -> Text,
        created_at_ms -> BigInt,
        updated_at_ms -> BigInt,
        operator -> Nullable<Text>,
    }
}

diesel::table! {
    advisories (name, record) {
        name -> Text,
        record -> Text,
        body -> Text,
        loaded_at_ms -> BigInt,
    }
}

diesel::table! {
    downloads (subject, day, version) {
        subject -> Text,
        day -> BigInt,
        version -> Text,
        count -> BigInt,
    }
}

diesel::table! {
    request_budgets (registry, month) {
        registry -> Text,
        month -> Text,
        reserved -> BigInt,
    }
}

diesel::table! {
    scopes (scope) {
        scope -> Text,
        registry -> Text,
        created_at_ms -> BigInt,
        id -> Text,
    }
}

diesel::table! {
    audit_log (id) {
        id -> Text,
        at_ms -> BigInt,
        who -> Text,
        origin -> Text,
        action -> Text,
        subject -> Text,
        before -> Nullable<Text>,
        after -> Nullable<Text>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    packages,
    versions,
    dist_tags,
    blobs,
    segments,
    renderings,
    tasks,
    task_logs,
    local_seq,
    changes,
    alarms,
    registries,
    settings,
    users,
    tokens,
    login_sessions,
    sign_in_links,
    feeds,
    registry_keys,
    kept_answers,
    blocks,
    advisories,
    downloads,
    request_budgets,
    reconciliations,
    missing_names,
    sweeps,
    scopes,
    audit_log,
    releases,
    maintainers,
    totals,
    hooks,
    hook_deliveries,
    hook_attempts,
    hook_remains,
    orgs,
    org_members,
    teams,
    team_members,
    grants,
    visibilities,
    stars,
);

diesel::table! {
    totals (shard) {
        shard -> BigInt,
        packages -> BigInt,
        versions -> BigInt,
        held -> BigInt,
        bytes -> BigInt,
    }
}

diesel::table! {
    reconciliations (registry) {
        registry -> Text,
        url -> Text,
        epoch -> BigInt,
        after_name -> Nullable<Text>,
        began_at_ms -> BigInt,
        ended_at_ms -> Nullable<BigInt>,
        names -> BigInt,
        missing -> BigInt,
        absent -> BigInt,
    }
}

diesel::table! {
    missing_names (registry, name) {
        registry -> Text,
        name -> Text,
        seen_at_ms -> BigInt,
        queued_at_ms -> Nullable<BigInt>,
        reason -> Nullable<Text>,
    }
}

diesel::table! {
    sweeps (registry, lane) {
        registry -> Text,
        lane -> Text,
        after_id -> BigInt,
        began_at_ms -> BigInt,
        total -> BigInt,
        done -> BigInt,
    }
}

diesel::table! {
    releases (name, version) {
        name -> Text,
        version -> Text,
        operator -> Text,
        created_at_ms -> BigInt,
    }
}

diesel::table! {
    hooks (id) {
        id -> Text,
        owner -> Text,
        kind -> Text,
        name -> Text,
        endpoint -> Text,
        secret -> Text,
        created_at_ms -> BigInt,
        updated_at_ms -> BigInt,
        paused -> Nullable<Text>,
        failures -> BigInt,
        failing_since_ms -> Nullable<BigInt>,
        not_before_ms -> BigInt,
        swept_seq -> BigInt,
        rest_until_ms -> BigInt,
        leased_by -> Nullable<Text>,
        lease_until_ms -> Nullable<BigInt>,
        last_delivery_ms -> Nullable<BigInt>,
        last_code -> Nullable<BigInt>,
        delivered -> Bool,
        dropped -> BigInt,
    }
}

diesel::table! {
    hook_deliveries (seq) {
        seq -> BigInt,
        hook_id -> Text,
        package -> Text,
        event -> Text,
        change -> Text,
        at_ms -> BigInt,
        state -> Text,
        attempts -> BigInt,
        base_attempts -> BigInt,
        not_before_ms -> BigInt,
        ended_at_ms -> Nullable<BigInt>,
        reason -> Nullable<Text>,
    }
}

diesel::table! {
    hook_attempts (seq, attempt) {
        seq -> BigInt,
        attempt -> BigInt,
        at_ms -> BigInt,
        duration_ms -> BigInt,
        endpoint -> Text,
        request_bytes -> BigInt,
        code -> Nullable<BigInt>,
        answer -> Nullable<Text>,
        error -> Nullable<Text>,
    }
}

diesel::table! {
    hook_remains (hook_id) {
        hook_id -> Text,
    }
}

diesel::table! {
    orgs (name) {
        name -> Text,
        description -> Text,
        created_at_ms -> BigInt,
    }
}

diesel::table! {
    org_members (org, user_name) {
        org -> Text,
        user_name -> Text,
        role -> Text,
    }
}

diesel::table! {
    teams (org, name) {
        org -> Text,
        name -> Text,
        description -> Text,
        created_at_ms -> BigInt,
    }
}

diesel::table! {
    team_members (org, team, user_name) {
        org -> Text,
        team -> Text,
        user_name -> Text,
        role -> Text,
    }
}

diesel::table! {
    grants (org, team, package) {
        org -> Text,
        team -> Text,
        package -> Text,
        permission -> Text,
    }
}

diesel::table! {
    visibilities (package) {
        package -> Text,
        visibility -> Text,
    }
}

diesel::table! {
    stars (user_name, package) {
        user_name -> Text,
        package -> Text,
        created_at_ms -> BigInt,
    }
}

diesel::table! {
    maintainers (name, user_name) {
        name -> Text,
        user_name -> Text,
    }
}

diesel::table! {
    readmes (package_id, version) {
        package_id -> BigInt,
        version -> Text,
        body -> Binary,
    }
}
