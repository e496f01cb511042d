//! What a client may publish and receive: exact topics, nothing else.

use i3_core::gate::PublishRight;
use i3_core::name::Topic;

use crate::wire::{Filter, FilterKind, Qos, Reason, Version};

/// What a device may publish; nothing for a buyer.
#[derive(Debug)]
pub(crate) struct Rights {
    /// By topic.
    all: Vec<PublishRight>,
    /// The one that the last message used: mostly that of the next one too.
    last: usize,
}

impl Rights {
    pub(crate) fn new(mut all: Vec<PublishRight>) -> Self {
        all.sort_unstable_by(|a, b| a.topic.cmp(&b.topic));
        Self { all, last: 0 }
    }

    pub(crate) fn get(&self, place: usize) -> Option<&PublishRight> {
        self.all.get(place)
    }

    /// The right to publish to exactly this topic.
    pub(crate) fn find(&mut self, topic: &[u8]) -> Option<usize> {
        let bytes = |right: &PublishRight| right.topic.as_str().as_bytes() == topic;
        if !self.all.get(self.last).is_some_and(bytes) {
            self.last = self.all.binary_search_by(|right| right.topic.as_str().as_bytes().cmp(topic)).ok()?;
        }
        Some(self.last)
    }
}

/// May this client leave a will on this topic? Asked at CONNECT and again when it fires.
pub(crate) fn will_right<'a>(rights: &'a [PublishRight], topic: &str) -> Option<&'a PublishRight> {
    rights.iter().find(|right| right.topic.as_str() == topic)
}

/// What a client is granted of the filters of one SUBSCRIBE.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Granted<'a> {
    /// The answer to each filter.
    pub(crate) reasons: Vec<Reason>,
    /// The last one that is granted: its options hold (3.8.4-3).
    pub(crate) filter: Option<&'a Filter>,
}

impl Granted<'_> {
    /// The same with nothing granted, and this answer to what would have been.
    pub(crate) fn instead(mut self, reason: Reason) -> Self {
        for told in &mut self.reasons {
            if !told.is_error() {
                *told = reason;
            }
        }
        Self { filter: None, ..self }
    }
}

/// What a buyer's filters are granted: the exact topic of its grant, and nothing else. Whether a topic exists makes
/// no difference to the answer; that a filter can never be granted shows in its form.
pub(crate) fn grant_filters<'a>(
    version: Version,
    filters: &'a [Filter],
    topic: Option<&Topic>,
) -> Granted<'a> {
    let granted = |filter: &Filter| topic.is_some_and(|topic| topic.as_str() == filter.filter);
    let reasons = filters.iter().map(|filter| match (version, filter.kind()) {
        _ if granted(filter) => Reason::granted(filter.qos),
        (Version::V5, FilterKind::Shared) => Reason::SharedSubscriptionsNotSupported,
        (Version::V5, FilterKind::Wildcard) => Reason::WildcardSubscriptionsNotSupported,
        _ => Reason::NotAuthorized,
    });
    Granted { reasons: reasons.collect(), filter: filters.iter().rfind(|filter| granted(filter)) }
}

/// The options of a subscription (MQTT 5, 3.8.3.1). No Local needs nothing: no buyer publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) qos: Qos,
    pub(crate) retain_as_published: bool,
    pub(crate) identifier: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::RetainHandling;

    fn filter(text: &str) -> Filter {
        Filter {
            filter: text.to_owned(),
            qos: Qos::ExactlyOnce,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Always,
        }
    }

    #[test]
    fn filters_are_granted_exactly_or_not_at_all() {
        use Reason::{
            GrantedQos2 as Yes, NotAuthorized as No, SharedSubscriptionsNotSupported as Shared,
            WildcardSubscriptionsNotSupported as Wild,
        };
        let topic: Topic = "i3/h/p".parse().unwrap();
        let asked = [
            ("i3/h/p", Yes),
            ("#", Wild),
            ("+/h/p", Wild),
            ("i3/+/p", Wild),
            ("i3/h/#", Wild),
            ("i3/h/p/#", Wild),
            ("$share/g/i3/h/p", Shared),
            ("$share/g/#", Shared),
            ("$SYS/#", Wild),
            ("$SYS/x", No),
            ("$queue/i3/h/p", No),
            ("/i3/h/p", No),
            ("i3/h/p/", No),
            ("i3/h/P", No),
            ("i3/h/p ", No),
            ("\u{feff}i3/h/p", No),
            ("i3/h/p\u{301}", No),
        ];
        let filters: Vec<_> = asked.iter().map(|(text, _)| filter(text)).collect();
        let told: Vec<_> = asked.iter().map(|(_, reason)| *reason).collect();
        let granted = grant_filters(Version::V5, &filters, Some(&topic));
        assert_eq!((granted.reasons, granted.filter), (told, filters.first()));
        let granted = grant_filters(Version::V311, &filters, Some(&topic));
        assert!(granted.reasons.iter().skip(1).all(|reason| *reason == No));
        let strange = grant_filters(Version::V5, &filters, None);
        assert!(strange.filter.is_none() && strange.reasons.iter().all(|reason| reason.is_error()));
        assert_eq!(strange.reasons.first(), Some(&No), "a stranger learns nothing");
    }
}
