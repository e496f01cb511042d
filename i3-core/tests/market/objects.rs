//! Virtual objects: content, versions, states, lists.

use std::collections::BTreeSet;

use i3_core::access::{Action, Actor};
use i3_core::id::{TypedId, VirtualObjectId};
use i3_core::market::{
    CreateObject, EditObject, LinkProduct, MoveObject, ObjectFilter, ObjectOrder, ObjectView, PageRequest,
    Publishing, Refusal, RegisterHub, WhichVersion,
};
use i3_core::outbox::Event;
use i3_core::virtual_object::{Content, ContentHash, ObjectKind, ObjectState};

use crate::fixture::{Fixture, refusal};

use crate::workshop::{Shop, full, lamp, service};

#[tokio::test]
async fn a_draft_is_seen_by_its_owner_and_the_administrator_alone() {
    let shop = Shop::with(Publishing::Direct).await;
    let draft = shop.create(shop.alice, lamp("Lamp"), false).await.object;
    assert_eq!(draft.state, ObjectState::Draft);
    assert!(shop.sees(Actor::User(shop.alice), draft.id).await.is_some());
    assert!(shop.sees(Actor::User(shop.admin), draft.id).await.is_some());
    for other in [Actor::Anonymous, Actor::User(shop.bob), Actor::User(shop.consumer)] {
        assert_eq!(shop.sees(other, draft.id).await, None);
    }
    let missing = Refusal::NotFound { what: "virtual object" };
    assert_eq!(shop.edit(shop.bob, draft.id, lamp("Mine")).await.unwrap_err(), missing);
    assert_eq!(shop.go(shop.consumer, draft.id, ObjectState::Removed).await.unwrap_err(), missing);
    assert_eq!(shop.list(&ObjectFilter::default()).await, [""; 0]);
    let state = ObjectFilter { state: Some(ObjectState::Draft), ..ObjectFilter::default() };
    let page = PageRequest::default();
    let bob = Actor::User(shop.bob);
    let refused = shop.market.objects(bob, &state, ObjectOrder::Newest, &page).await.unwrap_err();
    assert!(matches!(refusal(refused), Refusal::Forbidden { action: Action::ViewVirtualObject, .. }));
    let of_alice = ObjectFilter { owner: Some(shop.alice), ..state };
    let seen = shop.market.objects(bob, &of_alice, ObjectOrder::Newest, &page).await.unwrap();
    assert_eq!(seen.items, []);
}

#[tokio::test]
async fn an_object_is_removed_by_its_owner_or_an_administrator_and_by_nobody_else() {
    let shop = Shop::with(Publishing::Direct).await;
    for remover in [shop.alice, shop.admin] {
        let object = shop.create(shop.alice, lamp("Lamp"), true).await.object;
        assert_eq!(object.state, ObjectState::Published);
        for other in [shop.consumer, shop.bob] {
            let refused = shop.go(other, object.id, ObjectState::Removed).await.unwrap_err();
            assert_eq!(refused.to_string(), "the permission `virtual_object:delete` is missing");
        }
        let removed = shop.go(remover, object.id, ObjectState::Removed).await.unwrap().object;
        assert_eq!((removed.state, &removed.public), (ObjectState::Removed, &None));
        assert_eq!(shop.sees(Actor::User(shop.bob), object.id).await, None);
        let again = shop.go(remover, object.id, ObjectState::Removed).await.unwrap_err();
        assert_eq!(again, Refusal::WrongState { what: "virtual object", state: "removed" });
        let missing = Refusal::NotFound { what: "virtual object" };
        assert_eq!(shop.go(shop.bob, object.id, ObjectState::Removed).await.unwrap_err(), missing);
    }
    assert_eq!(shop.list(&ObjectFilter::default()).await, [""; 0]);
}

#[tokio::test]
async fn every_published_content_can_be_had_by_its_number_and_its_hash() {
    let shop = Shop::with(Publishing::Review).await;
    let object = shop.create(shop.alice, lamp("First"), true).await.object;
    shop.go(shop.admin, object.id, ObjectState::Published).await.unwrap();
    shop.edit(shop.alice, object.id, lamp("Second")).await.unwrap();
    shop.edit(shop.alice, object.id, lamp("First")).await.unwrap();
    shop.go(shop.alice, object.id, ObjectState::Submitted).await.unwrap();
    shop.go(shop.admin, object.id, ObjectState::Published).await.unwrap();
    let versions = |actor| {
        let (shop, id) = (&shop, object.id);
        async move {
            let page = PageRequest { limit: 2, after: None };
            let first = shop.market.object_history(actor, id, &page).await.unwrap();
            let mut items = first.items;
            if first.next.is_some() {
                let page = PageRequest { limit: 2, after: first.next };
                items.extend(shop.market.object_history(actor, id, &page).await.unwrap().items);
            }
            items
        }
    };
    let all = versions(Actor::User(shop.alice)).await;
    assert_eq!(all.iter().map(|one| one.version).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!(all[0].content, all[2].content);
    assert_ne!(all[0].content, all[1].content);
    let public = versions(Actor::Anonymous).await;
    assert_eq!(public.iter().map(|one| one.version).collect::<Vec<_>>(), [3, 1]);

    let get = |actor, which| shop.market.object_version(actor, object.id, which);
    let first = get(Actor::Anonymous, WhichVersion::Hash(lamp("First").hash())).await.unwrap();
    assert_eq!(first.content, lamp("First"));
    assert_eq!(get(Actor::Anonymous, WhichVersion::Number(1)).await.unwrap().content, first.content);
    for hidden in [WhichVersion::Hash(lamp("Second").hash()), WhichVersion::Number(2)] {
        let refused = refusal(get(Actor::Anonymous, hidden).await.unwrap_err());
        assert_eq!(refused, Refusal::NotFound { what: "version" });
        assert_eq!(get(Actor::User(shop.alice), hidden).await.unwrap().content, lamp("Second"));
    }
    let unknown = ContentHash(i3_core::store::Digest::of(b"other"));
    let refused = refusal(get(Actor::User(shop.alice), WhichVersion::Hash(unknown)).await.unwrap_err());
    assert_eq!(refused, Refusal::NotFound { what: "version" });
}

#[tokio::test]
async fn under_review_a_change_is_public_once_it_was_looked_at() {
    let shop = Shop::with(Publishing::Review).await;
    let object = shop.create(shop.alice, lamp("Old"), true).await.object;
    assert_eq!(object.state, ObjectState::Submitted);
    let refused = shop.go(shop.alice, object.id, ObjectState::Published).await.unwrap_err();
    assert!(
        matches!(refused, Refusal::Forbidden { action: Action::PublishVirtualObject, .. }),
        "{refused:?}"
    );
    shop.go(shop.admin, object.id, ObjectState::Published).await.unwrap();

    let edited = shop.edit(shop.alice, object.id, lamp("New")).await.unwrap().object;
    assert_eq!(edited.state, ObjectState::Draft);
    let seen = shop.sees(Actor::Anonymous, object.id).await.unwrap();
    assert_eq!((seen.content.title.as_str(), seen.object.state), ("Old", ObjectState::Published));
    let submitted = shop.go(shop.alice, object.id, ObjectState::Submitted).await.unwrap().object;

    let mut publish = MoveObject {
        object: object.id,
        to: ObjectState::Published,
        expect: Some(submitted.revision - 1),
        remark: None,
    };
    let admin = Actor::User(shop.admin);
    let unseen = refusal(shop.market.execute(admin, None, &publish).await.unwrap_err());
    assert_eq!(unseen, Refusal::Outdated { what: "virtual object", revision: submitted.revision });
    let back = MoveObject {
        to: ObjectState::Draft,
        remark: Some("Which lamp?".parse().unwrap()),
        expect: None,
        ..publish.clone()
    };
    let sent_back = shop.market.execute(admin, None, &back).await.unwrap().object;
    assert_eq!(sent_back.remark.unwrap().as_str(), "Which lamp?");
    assert_eq!(shop.sees(Actor::Anonymous, object.id).await.unwrap().object.remark, None);
    shop.go(shop.alice, object.id, ObjectState::Submitted).await.unwrap();
    publish.expect = Some(shop.sees(admin, object.id).await.unwrap().object.revision);
    shop.market.execute(admin, None, &publish).await.unwrap();
    assert_eq!(shop.sees(Actor::Anonymous, object.id).await.unwrap().content, lamp("New"));
}

#[tokio::test]
async fn who_changes_what_another_changed_meanwhile_is_told_so() {
    let shop = Shop::with(Publishing::Direct).await;
    let object = shop.create(shop.alice, lamp("Lamp"), false).await.object;
    let edit = |title, expect| EditObject { object: object.id, content: lamp(title), expect };
    let alice = Actor::User(shop.alice);
    let first = shop.market.execute(alice, None, &edit("A", Some(1))).await.unwrap().object;
    assert_eq!((first.revision, first.version), (2, 2));
    let late = refusal(shop.market.execute(alice, None, &edit("B", Some(1))).await.unwrap_err());
    assert_eq!(late, Refusal::Outdated { what: "virtual object", revision: 2 });
    assert_eq!(late.code(), "outdated");
    let same = shop.market.execute(alice, None, &edit("A", Some(2))).await.unwrap().object;
    assert_eq!(same, first);
}

#[tokio::test]
async fn the_answer_to_a_repeated_command_is_the_first_one_though_the_object_went_on() {
    let shop = Shop::with(Publishing::Direct).await;
    let key = "create-1".parse().unwrap();
    let create = CreateObject { content: lamp("Lamp"), hub: None, submit: true };
    let alice = Actor::User(shop.alice);
    let first = shop.market.execute(alice, Some(&key), &create).await.unwrap();
    shop.edit(shop.alice, first.object.id, lamp("Other")).await.unwrap();
    assert_eq!(shop.market.execute(alice, Some(&key), &create).await.unwrap(), first);
}

#[tokio::test]
async fn services_stand_above_their_parts() {
    let shop = Shop::with(Publishing::Direct).await;
    let refused = |result: Result<ObjectView, Refusal>| match result.unwrap_err() {
        Refusal::Invalid { field, reason } => format!("{field}: {reason}"),
        other => panic!("{other:?}"),
    };
    let lamp_id = shop.create(shop.alice, lamp("Lamp"), true).await.object.id;
    let draft = shop.create(shop.alice, lamp("Draft"), false).await.object.id;
    let create = |content, submit| {
        let command = CreateObject { content, hub: None, submit };
        let market = shop.market.clone();
        let actor = Actor::User(shop.bob);
        async move { market.execute(actor, None, &command).await.map_err(refusal) }
    };
    assert_eq!(refused(create(service(&[]), true).await), "parts: a service has at least one part");
    let hidden = refused(create(service(&[lamp_id, draft]), false).await);
    assert_eq!(hidden, format!("parts: `{draft}` is no published object"));
    let nobody = VirtualObjectId::from_bits(77);
    let unknown = refused(create(service(&[nobody]), false).await);
    assert_eq!(unknown, format!("parts: `{nobody}` is no published object"));

    let mut tower = vec![create(service(&[lamp_id]), true).await.unwrap().object];
    for level in 2..=4 {
        let below = tower.last().unwrap().id;
        let above = create(service(&[below, lamp_id]), true).await.unwrap().object;
        assert_eq!(above.level, level);
        tower.push(above);
    }
    let too_high = refused(create(service(&[tower[3].id]), true).await);
    assert_eq!(too_high, "parts: services stand on at most 4 levels");
    for part in [&tower[0], &tower[1]] {
        let cycle = refused(shop.edit(shop.bob, tower[0].id, service(&[part.id])).await);
        assert_eq!(
            cycle,
            "parts: only objects below level 1 can become parts of one that was public at that level"
        );
    }
    // Taking it back does not let it rise: others have it as a part.
    shop.go(shop.bob, tower[0].id, ObjectState::Draft).await.unwrap();
    refused(shop.edit(shop.bob, tower[0].id, service(&[tower[1].id])).await);

    let mut wrong = lamp("Lamp");
    wrong.parts.insert(lamp_id);
    assert_eq!(refused(create(wrong, false).await), "parts: only services have parts");
}

#[tokio::test]
async fn a_part_that_is_taken_back_stays_a_part_but_the_service_is_not_published_anew() {
    let shop = Shop::with(Publishing::Direct).await;
    let part = shop.create(shop.alice, lamp("Lamp"), true).await.object.id;
    let whole = shop.create(shop.bob, service(&[part]), true).await.object.id;
    shop.go(shop.alice, part, ObjectState::Draft).await.unwrap();
    let mut other = service(&[part]);
    other.title = "Renamed".parse().unwrap();
    shop.edit(shop.bob, whole, other).await.unwrap();
    shop.go(shop.bob, whole, ObjectState::Draft).await.unwrap();
    let refused = shop.go(shop.bob, whole, ObjectState::Submitted).await.unwrap_err();
    assert_eq!(refused, Refusal::invalid("parts", format!("`{part}` is no published object")));
}

#[tokio::test]
async fn lists_are_filtered_and_ordered_and_have_pages() {
    let shop = Shop::with(Publishing::Direct).await;
    for (title, kind, tag, category) in [
        ("Zebra", ObjectKind::Sensor, "air", Some("Weather")),
        ("apple", ObjectKind::Sensor, "water", Some("Weather")),
        ("Mango", ObjectKind::Actuator, "air", None),
        ("Birch", ObjectKind::Sensor, "air", None),
    ] {
        shop.clock.advance(std::time::Duration::from_secs(1));
        let mut content = Content::new(kind, title.parse().unwrap());
        content.tags.insert(tag.parse().unwrap());
        content.category = category.map(|category: &str| category.parse().unwrap());
        content.domain = Some("smart-home".parse().unwrap());
        content.platforms.insert("Raspberry Pi".parse().unwrap());
        content.protocols.insert("mqtt".parse().unwrap());
        let object = shop.create(shop.alice, content, true).await.object;
        if title == "Mango" {
            shop.go(shop.alice, object.id, ObjectState::Deprecated).await.unwrap();
        }
    }
    let all = ObjectFilter::default();
    assert_eq!(shop.list(&all).await, ["Birch", "apple", "Zebra"]);
    let state = Some(ObjectState::Deprecated);
    assert_eq!(shop.list(&ObjectFilter { state, ..all.clone() }).await, ["Mango"]);
    let tag: Option<i3_core::name::Term> = Some("air".parse().unwrap());
    assert_eq!(shop.list(&ObjectFilter { tag: tag.clone(), ..all.clone() }).await, ["Birch", "Zebra"]);
    assert_eq!(shop.list(&ObjectFilter { tag: tag.clone(), state, ..all.clone() }).await, ["Mango"]);
    let category = Some("Weather".parse().unwrap());
    let both = ObjectFilter { tag, category: category.clone(), ..all.clone() };
    assert_eq!(shop.list(&both).await, ["Zebra"]);
    assert_eq!(shop.list(&ObjectFilter { category, ..all.clone() }).await, ["apple", "Zebra"]);
    for filter in [
        ObjectFilter { kind: Some(ObjectKind::Sensor), ..all.clone() },
        ObjectFilter { domain: Some("smart-home".parse().unwrap()), ..all.clone() },
        ObjectFilter { platform: Some("Raspberry Pi".parse().unwrap()), ..all.clone() },
        ObjectFilter { protocol: Some("mqtt".parse().unwrap()), ..all.clone() },
        ObjectFilter { owner: Some(shop.alice), ..all.clone() },
    ] {
        assert_eq!(shop.list(&filter).await, ["Birch", "apple", "Zebra"], "{filter:?}");
    }
    for filter in [
        ObjectFilter { kind: Some(ObjectKind::Service), ..all.clone() },
        ObjectFilter { owner: Some(shop.bob), ..all.clone() },
        ObjectFilter { protocol: Some("coap".parse().unwrap()), ..all.clone() },
    ] {
        assert_eq!(shop.list(&filter).await, [""; 0], "{filter:?}");
    }

    let mut titles = Vec::new();
    let mut page = PageRequest { limit: 1, after: None };
    loop {
        let order = ObjectOrder::Title;
        let found = shop.market.objects(Actor::Anonymous, &all, order, &page).await.unwrap();
        titles.extend(found.items.iter().map(|view| view.content.title.to_string()));
        let Some(next) = found.next else { break };
        page.after = Some(next);
    }
    assert_eq!(titles, ["apple", "Birch", "Zebra"]);
    let filter = ObjectFilter { kind: Some(ObjectKind::Sensor), ..all };
    let sorted = shop.market.objects(Actor::Anonymous, &filter, ObjectOrder::Title, &page).await;
    assert_eq!(refusal(sorted.unwrap_err()).code(), "invalid_request");
}

#[tokio::test]
async fn a_page_that_filters_much_out_is_short_and_leads_on() {
    let shop = Shop::with(Publishing::Direct).await;
    for number in 0..600 {
        let mut content = Content::new(ObjectKind::Sensor, format!("{number}").parse().unwrap());
        content.tags.insert("many".parse().unwrap());
        if number == 0 {
            content.platforms.insert("rare".parse().unwrap());
        }
        shop.clock.advance(std::time::Duration::from_millis(1));
        shop.create(shop.alice, content, true).await;
    }
    let filter = ObjectFilter {
        tag: Some("many".parse().unwrap()),
        platform: Some("rare".parse().unwrap()),
        ..ObjectFilter::default()
    };
    let mut page = PageRequest { limit: 20, after: None };
    let first = shop.market.objects(Actor::Anonymous, &filter, ObjectOrder::Newest, &page).await.unwrap();
    assert!(first.items.is_empty() && first.next.is_some());
    page.after = first.next;
    let second = shop.market.objects(Actor::Anonymous, &filter, ObjectOrder::Newest, &page).await.unwrap();
    assert_eq!(second.items.len(), 1);
    assert!(second.next.is_none());
}

#[tokio::test]
async fn a_product_has_one_object_of_those_who_manage_both() {
    let f = Fixture::new().await;
    let create = |title| CreateObject { content: lamp(title), hub: None, submit: true };
    let one = f.done(f.seller, &create("One")).await.object;
    let two = f.done(f.seller, &create("Two")).await.object;
    let link = |object, product| LinkProduct { object, product, expect: None };
    let linked = f.done(f.seller, &link(one.id, Some(f.product.id))).await.object;
    assert_eq!(linked.product, Some(f.product.id));
    let taken = f.refused(f.seller, &link(two.id, Some(f.product.id))).await;
    assert_eq!(taken, Refusal::Taken { what: "product's virtual object" });
    let found = f.market.object_of_product(Actor::Anonymous, f.product.id).await.unwrap();
    assert_eq!(found.object.id, one.id);
    f.done(f.seller, &link(one.id, None)).await;
    f.done(f.seller, &link(two.id, Some(f.product.id))).await;
    let remove = MoveObject { object: two.id, to: ObjectState::Removed, expect: None, remark: None };
    f.done(f.seller, &remove).await;
    let gone = f.market.object_of_product(Actor::Anonymous, f.product.id).await.unwrap_err();
    assert_eq!(refusal(gone), Refusal::NotFound { what: "virtual object" });
    f.done(f.seller, &link(one.id, Some(f.product.id))).await;
}

#[tokio::test]
async fn every_change_is_told_and_the_index_reads_what_is_public() {
    let shop = Shop::with(Publishing::Direct).await;
    let object = shop.create(shop.alice, lamp("Lamp"), false).await.object;
    assert_eq!(shop.market.public_object(object.id).await.unwrap(), None);
    shop.go(shop.alice, object.id, ObjectState::Submitted).await.unwrap();
    shop.edit(shop.alice, object.id, lamp("Other")).await.unwrap();
    let public = shop.market.public_object(object.id).await.unwrap().unwrap();
    assert_eq!(public.content, lamp("Other"));
    let all = shop.market.public_objects(&PageRequest::default()).await.unwrap();
    assert_eq!(all.items, [public]);
    shop.go(shop.alice, object.id, ObjectState::Draft).await.unwrap();
    assert_eq!(shop.market.public_object(object.id).await.unwrap(), None);
    let told = shop.market.events(Actor::User(shop.admin), 0, 100).await.unwrap();
    let wanted = Event::VirtualObjectChanged { object: object.id, owner: shop.alice };
    assert_eq!(told.iter().filter(|entry| entry.entry.event == wanted).count(), 4);
}

#[tokio::test]
async fn an_object_of_a_hub_needs_a_manager_there() {
    let shop = Shop::with(Publishing::Direct).await;
    let hub = RegisterHub { slug: "acme".parse().unwrap(), title: "Acme".parse().unwrap() };
    let hub = shop.market.execute(Actor::User(shop.alice), None, &hub).await.unwrap();
    let create = CreateObject { content: lamp("Lamp"), hub: Some(hub.id), submit: true };
    let refused = refusal(shop.market.execute(Actor::User(shop.bob), None, &create).await.unwrap_err());
    assert!(matches!(refused, Refusal::Forbidden { action: Action::EditVirtualObject, .. }));
    let admin = shop.market.execute(Actor::User(shop.admin), None, &create).await.unwrap().object;
    assert_eq!((admin.hub, admin.owner), (Some(hub.id), shop.admin));
}

#[tokio::test]
async fn a_consumer_creates_no_object() {
    let shop = Shop::with(Publishing::Direct).await;
    let create = CreateObject { content: lamp("Lamp"), hub: None, submit: true };
    for actor in [Actor::User(shop.consumer), Actor::Anonymous] {
        let refused = refusal(shop.market.execute(actor, None, &create).await.unwrap_err());
        assert!(matches!(refused, Refusal::Forbidden { action: Action::CreateVirtualObject, .. }));
    }
}

/// Where an object stands, beside whether an earlier content of it is public.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stand {
    state: ObjectState,
    public: bool,
}

/// Brings an object to a stand.
async fn stand(shop: &Shop, stand: Stand) -> VirtualObjectId {
    use ObjectState::{Deprecated, Draft, Published, Removed, Submitted};
    let object = shop.create(shop.alice, lamp("One"), false).await.object.id;
    let path: &[ObjectState] = match (stand.state, stand.public) {
        (Draft | Submitted, false) => &[],
        (Draft | Submitted | Published, _) => &[Published],
        (Deprecated, _) => &[Published, Deprecated],
        (Removed, _) => &[Removed],
    };
    for to in path {
        shop.go(shop.admin, object, *to).await.unwrap();
    }
    if stand.public && matches!(stand.state, Draft | Submitted) {
        shop.edit(shop.alice, object, lamp("Two")).await.unwrap();
    }
    if stand.state == Submitted {
        shop.go(shop.alice, object, Submitted).await.unwrap();
    }
    let object = shop.sees(Actor::User(shop.alice), object).await.unwrap().object;
    assert_eq!(object.state, stand.state);
    assert_eq!(object.public.is_some(), stand.public);
    object.id
}

#[tokio::test]
async fn each_command_in_each_state_does_what_the_table_says() {
    use ObjectState::{Deprecated, Draft, Published, Removed, Submitted};
    let stands = [
        (Draft, false),
        (Draft, true),
        (Submitted, false),
        (Submitted, true),
        (Published, true),
        (Deprecated, true),
        (Removed, false),
    ]
    .map(|(state, public)| Stand { state, public });
    for publishing in [Publishing::Direct, Publishing::Review] {
        let direct = publishing == Publishing::Direct;
        for from in stands {
            // Under direct publishing nothing is ever submitted, and no content is ahead of the public one.
            if direct && (from.state == Submitted || (from.state == Draft && from.public)) {
                continue;
            }
            for (who, admin) in [("owner", false), ("administrator", true)] {
                for to in ObjectState::ALL {
                    let shop = Shop::with(publishing).await;
                    let object = stand(&shop, from).await;
                    let actor = if admin { shop.admin } else { shop.alice };
                    let free = direct || admin;
                    let wanted = match (from.state, to) {
                        (Removed, _) => Err("wrong_state"),
                        (_, Removed) => Ok((Removed, false)),
                        (Draft, Submitted | Published) | (Submitted, Published) if free => {
                            Ok((Published, true))
                        }
                        (Draft, Submitted) => Ok((Submitted, from.public)),
                        (Submitted, Draft) => Ok((Draft, from.public)),
                        (Draft, Draft) if !from.public => Err("wrong_state"),
                        (_, Draft) => Ok((Draft, false)),
                        (Deprecated, Published) => Ok((Published, true)),
                        (_, Published) if !free => Err("forbidden"),
                        (Published, Deprecated) => Ok((Deprecated, true)),
                        _ => Err("wrong_state"),
                    };
                    let wanted = match (from.state, to) {
                        // Who may not publish is told so before the state matters.
                        (Removed | Published, Published) if !free => Err("forbidden"),
                        _ => wanted,
                    };
                    let found = shop.go(actor, object, to).await;
                    let found = found.map(|view| (view.object.state, view.object.public.is_some()));
                    let found = found.map_err(|refusal| refusal.code());
                    assert_eq!(found, wanted, "{publishing:?}: {who} moves {from:?} to {to:?}");
                    for stranger in [shop.bob, shop.consumer] {
                        let shop = Shop::with(publishing).await;
                        let object = stand(&shop, from).await;
                        let refused = shop.go(stranger, object, to).await.unwrap_err();
                        let wanted = if from.public { "forbidden" } else { "not_found" };
                        assert_eq!(
                            refused.code(),
                            wanted,
                            "{publishing:?}: a stranger moves {from:?} to {to:?}"
                        );
                    }
                }
                for command in ["edit", "amend"] {
                    let shop = Shop::with(publishing).await;
                    let object = stand(&shop, from).await;
                    let actor = if admin { shop.admin } else { shop.alice };
                    let wanted = match from.state {
                        Removed | Deprecated => Err("wrong_state"),
                        Published if direct || admin => Ok((Published, true)),
                        _ => Ok((Draft, from.public)),
                    };
                    let found = if command == "edit" {
                        shop.edit(actor, object, lamp("Three")).await
                    } else {
                        shop.amend(actor, object, serde_json::json!({"title": "Three"})).await
                    };
                    let found = found.map(|view| (view.object.state, view.object.public.is_some()));
                    let found = found.map_err(|refusal| refusal.code());
                    assert_eq!(found, wanted, "{publishing:?}: {who} {command}s {from:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_merge_patch_changes_what_it_names_and_leaves_the_rest() {
    let shop = Shop::with(Publishing::Direct).await;
    let object = shop.create(shop.alice, full(), true).await.object.id;
    let patch = serde_json::json!({
        "title": "Other", "model": null, "tags": ["new"], "location": {"place": null},
    });
    let amended = shop.amend(shop.alice, object, patch).await.unwrap().content;
    let mut wanted = full();
    wanted.title = "Other".parse().unwrap();
    wanted.model = None;
    wanted.tags = BTreeSet::from(["new".parse().unwrap()]);
    wanted.location.as_mut().unwrap().place = None;
    assert_eq!(amended, wanted);
    for (patch, field) in [
        (serde_json::json!({"title": null}), "content"),
        (serde_json::json!({"wings": 2}), "content"),
        (serde_json::json!({"kind": "animal"}), "content"),
        (serde_json::json!({"title": "a\u{202e}b"}), "content"),
        (serde_json::json!({"location": {"point": null}}), "location"),
        (serde_json::json!({"protocols": ["coap"]}), "resources"),
        (serde_json::json!({"id": "vob_00000000000000000000000001"}), "content"),
    ] {
        match shop.amend(shop.alice, object, patch.clone()).await.unwrap_err() {
            Refusal::Invalid { field: found, .. } => assert_eq!(found, field, "{patch}"),
            other => panic!("{patch}: {other:?}"),
        }
    }
}
