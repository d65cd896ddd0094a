//! What is refused, in which words, with which exit code.

use super::setting;

#[test]
fn a_wrong_command_line_is_two_and_guesses_what_was_meant() {
    let (_upstream, _folder, espejo) = setting();
    espejo.run(&["sync"]).expect(2);
    espejo.run(&["sync", "..", "--upstream", "http://127.0.0.1:1"]).expect(2);
    let ended = espejo.run(&["serv"]).expect(2);
    assert!(ended.stderr.contains("serve"), "{}", ended.stderr);
}

#[test]
fn an_unknown_setting_stops_with_its_place_and_the_nearest_one() {
    let (_upstream, folder, espejo) = setting();
    let file = folder.path().join("mine.toml");
    std::fs::write(&file, "listen = \"127.0.0.1:0\"\n\n[sync]\nworker = 3\n").expect("a file");
    let path = file.to_str().expect("a path");
    let ended = espejo.run(&["serve", "--config", path]).expect(2);
    for word in ["mine.toml:4", "unknown key `sync.worker`", "did you mean `sync.workers`?"] {
        assert!(ended.stderr.contains(word), "{word:?} is missing in {}", ended.stderr);
    }
    let ended = espejo.run(&["serve", "--json", "--config", path]).expect(2);
    let error: serde_json::Value = serde_json::from_str(ended.stderr.trim()).expect("JSON");
    assert_eq!(error["code"], "CONFIG_KEY");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_in_use_is_ten_and_names_the_process() {
    let (upstream, _folder, espejo) = setting();
    let serving = espejo.serve(&upstream.url());
    let ended = espejo.run(&["serve", "--listen", "127.0.0.1:0"]).expect(10);
    assert!(ended.stderr.contains(&format!("process {}", serving.pid())), "{}", ended.stderr);
    assert!(ended.stderr.contains("--data"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_said_with_a_way_out() {
    let (upstream, _folder, espejo) = setting();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("a bound socket").to_string();
    let ended = espejo.run(&["serve", "--listen", &address, "--upstream", &upstream.url()]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains(&format!("cannot listen on {address}")), "{}", ended.stderr);
    assert!(ended.stderr.contains("try:"), "{}", ended.stderr);
}

#[test]
fn an_upstream_that_is_this_mirror_is_refused() {
    let (_upstream, _folder, espejo) = setting();
    let espejo = espejo.env("npm_config_registry", "http://127.0.0.1:7001/");
    let ended = espejo.run(&["sync", "lamp"]).expect(1);
    assert!(ended.stderr.contains("that is this mirror"), "{}", ended.stderr);
}

#[test]
fn without_any_upstream_a_sync_says_how_to_give_one() {
    let (_upstream, _folder, espejo) = setting();
    let ended = espejo.run(&["sync", "lamp"]).expect(7);
    assert!(ended.stderr.contains("--upstream"), "{}", ended.stderr);
}

#[test]
fn an_undefined_variable_in_npmrc_is_named() {
    let (_upstream, folder, espejo) = setting();
    std::fs::write(folder.path().join("npmrc"), "registry=${NOT_DEFINED_HERE}\n").expect("a file");
    let path = folder.path().join("npmrc");
    let espejo = espejo.env("npm_config_userconfig", path.display());
    let ended = espejo.run(&["sync", "lamp"]).expect(1);
    assert!(ended.stderr.contains("NOT_DEFINED_HERE"), "{}", ended.stderr);
}

#[test]
fn an_upstream_that_cannot_be_reached_is_an_error_that_says_so() {
    let (mut upstream, _folder, espejo) = setting();
    let url = upstream.url();
    upstream.go_down();
    let ended = espejo.run(&["sync", "--upstream", &url, "lamp"]).expect(7);
    assert!(ended.stderr.contains("cannot be reached"), "{}", ended.stderr);
}
