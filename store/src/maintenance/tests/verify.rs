use super::*;
use crate::testing::on_each_database;

#[test]
fn a_sound_store_is_read_completely_and_found_sound() {
    on_each_database(|mirror| {
        hold(mirror, "lamp", &[bytes(1, 3_000), bytes(2, 2 << 20), Bytes::new()]);
        hold(mirror, "@garden/ui", &[bytes(1, 3_000)]);
        mirror.commit(mirror.change("with-document", None, "the document")).unwrap();
        let mut seen = Vec::new();
        let options = VerifyOptions::default();
        let report = verify_blocking(&mirror.store, &options, &mut |now| seen.push(now)).unwrap();
        assert_eq!(report.damaged, []);
        assert_eq!(report.checked, 4, "equal bytes announced equally are read once");
        assert_eq!(report.bytes, 3_000 + (2 << 20) + 12);
        let last = seen.last().unwrap();
        assert_eq!((last.packages, last.of_packages, last.checked), (3, 3, 4));
    });
}

#[test]
fn each_kind_of_damage_is_found_where_it_is() {
    on_each_database(|mirror| {
        let small = hold(mirror, "a-flipped", &[bytes(1, 5_000), bytes(2, 5_000)]);
        let large = hold(mirror, "b-flipped-large", &[bytes(3, 2 << 20)]);
        let gone = hold(mirror, "c-gone", &[bytes(4, 2 << 20)]);
        let mut change = holding(&mirror.store, "d-length", &[bytes(5, 400)]);
        change.versions[0].size_bytes = Some(401);
        mirror.commit(change).unwrap();
        let mut change = holding(&mirror.store, "e-announced", &[bytes(6, 400)]);
        change.versions[0].expected = Some(Sha512Digest::of(b"other").to_sri());
        mirror.commit(change).unwrap();
        hold(mirror, "f-good", &[bytes(7, 5_000)]);
        damage(mirror, &small[1]);
        damage(mirror, &large[0]);
        fs::remove_file(bundle::large_path(&blobs_folder(&mirror.settings), &gone[0])).unwrap();

        let report = verified(&mirror.store);
        let found: Vec<_> = report
            .damaged
            .iter()
            .map(|damage| (damage.name.as_str(), damage.version.as_deref().unwrap()))
            .collect();
        let expected = [
            ("a-flipped", "1.0.1"),
            ("b-flipped-large", "1.0.0"),
            ("c-gone", "1.0.0"),
            ("d-length", "1.0.0"),
            ("e-announced", "1.0.0"),
        ];
        assert_eq!(found, expected);
        let kinds: Vec<_> = report.damaged.iter().map(|damage| damage.kind.clone()).collect();
        assert_eq!(kinds[..2], [DamageKind::Differs, DamageKind::Differs]);
        assert_eq!(kinds[2], DamageKind::Missing);
        assert_eq!(kinds[3], DamageKind::Length { expected: 401, found: 400 });
        assert!(matches!(kinds[4], DamageKind::NotAnnounced(_)), "{:?}", kinds[4]);
        assert_eq!(report.checked, 7);
    });
}

#[test]
fn what_was_forgotten_is_fetched_again_and_no_damage_any_more() {
    on_each_database(|mirror| {
        let shared = bytes(1, 900);
        let held = hold(mirror, "lamp", &[shared.clone(), bytes(2, 900)]);
        hold(mirror, "twin", std::slice::from_ref(&shared));
        let document = mirror.change("paper", None, "the document");
        let document_digest = document.blobs[0].0;
        mirror.commit(document).unwrap();
        damage(mirror, &held[0]);
        damage(mirror, &document_digest);
        let report = verified(&mirror.store);
        assert_eq!(report.damaged.len(), 3);

        mirror.write(|connection| forget_damaged(connection, &report.damaged));
        assert_eq!(state_of(&mirror.store, "lamp", "1.0.0"), VersionState::Remote);
        assert_eq!(state_of(&mirror.store, "twin", "1.0.0"), VersionState::Remote);
        assert_eq!(state_of(&mirror.store, "lamp", "1.0.1"), VersionState::Held);
        let paper = mirror.read(|c| crate::packages::find(c, &package("paper"))).unwrap();
        assert_eq!(paper.document, None);
        assert_eq!(paper.validators, crate::Validators::default());
        assert_eq!(verified(&mirror.store).damaged, []);

        let mut again = holding(&mirror.store, "lamp", std::slice::from_ref(&shared));
        again.base_revision = Some(1);
        mirror.commit(again).unwrap();
        assert_eq!(read(&mirror.store, &held[0]), shared);
    });
}

#[test]
fn a_sample_takes_about_its_share_and_other_seeds_take_others() {
    let taken = |sample, seed| -> Vec<bool> {
        let options = VerifyOptions { sample: Some(sample), seed };
        let digests = (0..4_000u32).map(|n| Sha512Digest::of(&n.to_le_bytes()));
        digests.map(|digest| options.takes(&digest)).collect()
    };
    let count = |taken: &[bool]| taken.iter().filter(|taken| **taken).count();
    assert_eq!(count(&taken(1.0, 5)), 4_000);
    assert_eq!(count(&taken(0.0, 5)), 0);
    let first = taken(0.05, 5);
    assert!((140..260).contains(&count(&first)), "{}", count(&first));
    assert_eq!(first, taken(0.05, 5));
    assert_ne!(first, taken(0.05, 6));
}
