//! Notices in words. Pure: the same news, the same words.

use super::News;
use crate::access::HubRole;
use crate::grant::GrantState;
use crate::name::Label;
use crate::time::{Timestamp, ZoneName};

/// What a notice is about, in one line. Names that others chose are cut off where they would make it long.
pub fn subject(news: &News) -> String {
    let short = |title: &Label| -> String {
        let mut letters = title.as_str().chars();
        let head: String = letters.by_ref().take(60).collect();
        if letters.next().is_some() { format!("{head}…") } else { head }
    };
    match news {
        News::Welcome => "Welcome: your account is open".to_owned(),
        News::Waiting => "Your registration waits for approval".to_owned(),
        News::Registered { name, .. } => format!("{name} waits for approval"),
        News::Activated => "Your account is active".to_owned(),
        News::Rejected => "Your registration was not approved".to_owned(),
        News::Suspended => "Your account was suspended".to_owned(),
        News::RolesChanged => "Your roles were changed".to_owned(),
        News::PasswordChanged => "Your password was changed".to_owned(),
        News::PasswordReset { .. } => "Set another password".to_owned(),
        News::LoginsEnded => "All your logins were ended".to_owned(),
        News::ToppedUp => "Your account was credited".to_owned(),
        News::Bought { title, .. } => format!("You bought {}", short(title)),
        News::Sold { title, .. } => format!("{} was bought", short(title)),
        News::Cancelled { title, .. } => format!("An order of {} was cancelled", short(title)),
        News::AccessEnded { title, .. } => format!("Your access to {} has ended", short(title)),
        News::Rated { title, .. } => format!("{} was rated", short(title)),
        News::Member { title, role: Some(_), .. } => format!("You are a member of {}", short(title)),
        News::Member { title, role: None, .. } => format!("You are no longer a member of {}", short(title)),
    }
}

/// What happened, in a sentence or two.
pub fn sentence(news: &News) -> String {
    match news {
        News::Welcome => "Your account is open. You can sign in and begin.".to_owned(),
        News::Waiting => {
            "Your registration was received. You will be told once an administrator has decided.".to_owned()
        }
        News::Registered { user, name, display, domain } => {
            let domain = domain.as_ref().map(|domain| format!(", working in {domain},")).unwrap_or_default();
            format!("{display} ({name}){domain} has registered and waits for approval. The account is {user}.")
        }
        News::Activated => "An administrator made your account active. You can sign in and begin.".to_owned(),
        News::Rejected => "An administrator did not approve your registration.".to_owned(),
        News::Suspended => {
            "An administrator suspended your account. All your logins have ended, and what you bought is not \
             delivered meanwhile."
                .to_owned()
        }
        News::RolesChanged => "An administrator gave you other roles. What you may do may have changed.".to_owned(),
        News::PasswordChanged => {
            "Your account has another password, and all other logins have ended. If that was not you, set \
             another password at once and tell an administrator."
                .to_owned()
        }
        News::PasswordReset { .. } => {
            "Somebody asked to set another password for your account. If that was not you, nothing needs to be \
             done."
                .to_owned()
        }
        News::LoginsEnded => "All your logins have ended: sessions, tokens, and what programs were allowed.".to_owned(),
        News::ToppedUp => "Your account was credited.".to_owned(),
        News::Bought { order, title } => format!("You bought {title}. The order is {order}."),
        News::Sold { order, title, .. } => format!("{title} was bought. The order is {order}."),
        News::Cancelled { order, title } => format!("The order {order} of {title} was cancelled."),
        News::AccessEnded { order, title, state } => {
            let why = match state {
                GrantState::Exhausted => "all that was bought has been delivered",
                GrantState::Expired => "its time is over",
                GrantState::Active | GrantState::Revoked => "it was taken away",
            };
            format!("{title} (order {order}) is not delivered to you any more: {why}.")
        }
        News::Rated { title, .. } => format!("A buyer has rated {title}."),
        News::Member { title, role: Some(role), .. } => {
            let role = match role {
                HubRole::Viewer => "viewer",
                HubRole::Manager => "manager",
                HubRole::Owner => "owner",
            };
            format!("You are a {role} of the hub {title} now.")
        }
        News::Member { title, role: None, .. } => format!("You were removed from the hub {title}."),
    }
}

/// A mail's whole text: greeting, what happened and when in the reader's time zone, and a link, if there is one.
pub fn body(news: &News, name: &str, at: Timestamp, zone: Option<&ZoneName>, link: &str) -> String {
    let when = match zone {
        Some(zone) => zone.local(at),
        None => at.to_string(),
    };
    let what = sentence(news);
    let lead = match news {
        News::PasswordReset { .. } => {
            "To set another password, open this link within half an hour. It works once, and is for you alone:"
        }
        _ => "The marketplace:",
    };
    format!("Hello {name},\n\n{what}\n\n{lead}\n{link}\n\nThis happened at {when}.\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TypedId;

    #[test]
    fn a_subject_is_one_short_line_whatever_a_product_is_called() {
        let title: Label = "x".repeat(200).parse().unwrap();
        let news = News::Bought { order: TypedId::from_bits(1), title };
        let subject = subject(&news);
        assert!(subject.chars().count() < 80 && !subject.contains('\n'), "{subject}");
    }

    #[test]
    fn a_mail_says_what_happened_when_and_where_to_go() {
        let at = Timestamp::from_micros(1_800_000_000_000_000).unwrap();
        let zone: ZoneName = "Asia/Seoul".parse().unwrap();
        let text = body(&News::Activated, "Kim", at, Some(&zone), "https://i3.example");
        assert_eq!(
            text,
            "Hello Kim,\n\nAn administrator made your account active. You can sign in and begin.\n\n\
             The marketplace:\nhttps://i3.example\n\nThis happened at 2027-01-15 17:00 (+09:00).\n"
        );
    }
}
