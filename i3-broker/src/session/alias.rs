//! Topic aliases that a client defines (MQTT 5, 3.3.2.3.4). They end with the connection.

use i3_core::name::Topic;

/// The topics by alias. Only topics that the client may publish to are ever remembered.
#[derive(Debug)]
pub(crate) struct Aliases {
    topics: Vec<Option<Topic>>,
    most: u16,
}

impl Aliases {
    /// Aliases 1 to `most`.
    pub(crate) fn new(most: u16) -> Self {
        Self { topics: Vec::new(), most }
    }

    /// Whether the client may use this alias at all (3.3.2-8 and -9).
    pub(crate) fn allows(&self, alias: u16) -> bool {
        (1..=self.most).contains(&alias)
    }

    pub(crate) fn get(&self, alias: u16) -> Option<&Topic> {
        self.topics.get(usize::from(alias).checked_sub(1)?)?.as_ref()
    }

    /// Defines an allowed alias anew. `None`, for a topic that was refused, leaves it undefined: what comes
    /// under it must not go to the topic that it meant before.
    pub(crate) fn set(&mut self, alias: u16, topic: Option<&Topic>) {
        let Some(place) = usize::from(alias).checked_sub(1) else { return };
        if self.topics.len() <= place {
            self.topics.resize(place + 1, None);
        }
        if let Some(entry) = self.topics.get_mut(place)
            && entry.as_ref() != topic
        {
            *entry = topic.cloned();
        }
    }
}
