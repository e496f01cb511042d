//! People: accounts, invitations, roles, what they were told.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use i3_client::{
    InvitationQuery, NewInvitation, NewRole, NoticeQuery, Payment, RoleDescription, UserDescription,
    UserPatch, UserQuery, UserRegistration,
};
use i3_core::access::Permission;
use i3_core::id::{InvitationId, UserId};
use i3_core::market::TimeOrder;
use i3_core::money::{Amount, Currency};
use i3_core::name::{Email, Label, Prose, Slug};
use i3_core::role::RoleName;
use i3_core::time::{Timestamp, ZoneName};
use i3_core::user::UserState;

use super::context::{Context, ListArgs, Told};
use super::failure::Failure;
use super::given::{edit, minor, named, secret, secret_if_given};
use super::orders::WhichOrders;

#[derive(Debug, Args)]
pub(crate) struct Registration {
    /// The login name
    name: Slug,
    /// What the user wants to be: consumer, provider, …; comma between
    #[arg(long, value_delimiter = ',', value_name = "ROLE")]
    roles: Vec<RoleName>,
    /// What others see; the name by default
    #[arg(long, value_name = "NAME")]
    display: Option<Label>,
    /// Where to reach the user
    #[arg(long, value_name = "ADDRESS")]
    email: Option<Email>,
    /// The IoT domain
    #[arg(long)]
    domain: Option<Slug>,
    /// Where the user's clock is: Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<ZoneName>,
    /// A file with the password; else `I3_PASSWORD`, else it is asked for
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// A file with the text of an invitation; else `I3_INVITATION`, if there is one
    #[arg(long, value_name = "FILE")]
    invitation_file: Option<PathBuf>,
}

impl Registration {
    /// Does first what is asked of strangers, if something is.
    async fn run(self, context: &Context) -> Result<Told, Failure> {
        let password = secret("password", self.password_file.as_deref(), "--password-file", "I3_PASSWORD")?;
        let invitation = secret_if_given(self.invitation_file.as_deref(), "I3_INVITATION")?;
        let Self { name, roles, display, email, domain, time_zone, .. } = self;
        let mut user = UserRegistration {
            display,
            email,
            domain,
            time_zone,
            invitation,
            ..UserRegistration::new(name, roles, password)
        };
        let client = context.client();
        match context.change(client.register_user(&user)).await {
            Err(Failure::Asked { error, .. }) if error.code() == "challenge" => {
                let asked = client.ask_challenge().await?.into_value();
                user.challenge = asked.solve();
                context.change(client.register_user(&user)).await
            }
            done => done,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserTask {
    /// Opens an account
    Register(Registration),
    /// Accounts
    List {
        /// Those that are active, pending, suspended or rejected
        #[arg(long, value_parser = named::<UserState>)]
        state: Option<UserState>,
        /// Those with this role
        #[arg(long)]
        role: Option<RoleName>,
        /// By when they registered: oldest (by default) or newest
        #[arg(long, value_parser = named::<TimeOrder>)]
        sort: Option<TimeOrder>,
        #[command(flatten)]
        list: ListArgs,
    },
    /// An account
    Show {
        /// Whose
        user: UserId,
    },
    /// Says all anew that a user says of oneself: what is left out is not said any more
    Describe {
        /// Who
        user: UserId,
        /// What others see
        #[arg(long, value_name = "NAME")]
        display: Label,
        /// The IoT domain
        #[arg(long)]
        domain: Option<Slug>,
        /// Where the user's clock is
        #[arg(long, value_name = "ZONE")]
        time_zone: Option<ZoneName>,
        /// What is looked at and bought is not to be remembered
        #[arg(long)]
        unobserved: bool,
        /// No e-mail is wanted but what concerns the account itself
        #[arg(long)]
        few_mails: bool,
    },
    /// Changes some of it: what is left out stays
    Edit {
        /// Who
        user: UserId,
        /// What others see
        #[arg(long, value_name = "NAME")]
        display: Option<Label>,
        /// The IoT domain
        #[arg(long)]
        domain: Option<Slug>,
        /// No IoT domain any more
        #[arg(long, conflicts_with = "domain")]
        no_domain: bool,
        /// Where the user's clock is
        #[arg(long, value_name = "ZONE")]
        time_zone: Option<ZoneName>,
        /// No clock any more: UTC
        #[arg(long, conflicts_with = "time_zone")]
        no_time_zone: bool,
        /// Whether what is looked at and bought is not to be remembered: true or false
        #[arg(long)]
        unobserved: Option<bool>,
        /// Whether no e-mail is wanted but what concerns the account itself: true or false
        #[arg(long)]
        few_mails: Option<bool>,
    },
    /// Approves a user
    Approve {
        /// Whom
        user: UserId,
    },
    /// Rejects a registration
    Reject {
        /// Whose
        user: UserId,
    },
    /// Suspends a user: logins, tokens and connections end
    Suspend {
        /// Whom
        user: UserId,
    },
    /// Ends a user's suspension
    Reinstate {
        /// Whose
        user: UserId,
    },
    /// Gives a user these roles and no others
    SetRoles {
        /// Who
        user: UserId,
        /// Which; none of them: no roles
        roles: Vec<RoleName>,
    },
    /// The hubs that a user is a member of
    Hubs {
        /// Who
        user: UserId,
    },
    /// A user's orders
    Orders {
        /// Whose
        user: UserId,
        #[command(flatten)]
        which: WhichOrders,
        #[command(flatten)]
        list: ListArgs,
    },
    /// What a user looked at, found, bought and rated, the latest first
    Events {
        /// Whose
        user: UserId,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Forgets what a user looked at, found, bought and rated
    EraseEvents {
        /// Whose
        user: UserId,
    },
    /// Credits a user's account
    TopUp {
        /// Whose
        user: UserId,
        /// How much, in minor units: 1234 with EUR is 12.34 euros
        #[arg(value_parser = minor)]
        amount: Amount,
        /// Of what
        currency: Currency,
        /// What the books shall say of it
        #[arg(long, default_value = "")]
        reference: String,
    },
}

impl UserTask {
    pub(crate) async fn run(self, context: &Context) -> Result<Told, Failure> {
        let client = context.client();
        match self {
            Self::Register(registration) => registration.run(context).await,
            Self::List { state, role, sort, list } => {
                context.list(client.list_users(&UserQuery { state, role, sort }), &list).await
            }
            Self::Show { user } => context.ask(client.show_user(user)).await,
            Self::Describe { user, display, domain, time_zone, unobserved, few_mails } => {
                let description = UserDescription { display, domain, time_zone, unobserved, few_mails };
                context.change(client.describe_user(user, &description)).await
            }
            Self::Edit {
                user,
                display,
                domain,
                no_domain,
                time_zone,
                no_time_zone,
                unobserved,
                few_mails,
            } => {
                let (domain, time_zone) = (edit(domain, no_domain), edit(time_zone, no_time_zone));
                let patch = UserPatch { display, domain, time_zone, unobserved, few_mails };
                context.change(client.edit_user(user, &patch)).await
            }
            Self::Approve { user } => context.change(client.approve_user(user)).await,
            Self::Reject { user } => context.change(client.reject_user(user)).await,
            Self::Suspend { user } => context.change(client.suspend_user(user)).await,
            Self::Reinstate { user } => context.change(client.reinstate_user(user)).await,
            Self::SetRoles { user, roles } => {
                context.change(client.set_roles(user, &roles.into_iter().collect())).await
            }
            Self::Hubs { user } => context.ask(client.list_memberships(user)).await,
            Self::Orders { user, which, list } => {
                context.list(client.list_user_orders(user, &which.into()), &list).await
            }
            Self::Events { user, list } => context.list(client.list_user_events(user), &list).await,
            Self::EraseEvents { user } => context.change(client.erase_user_events(user)).await,
            Self::TopUp { user, amount, currency, reference } => {
                let payment = Payment { amount, currency, reference };
                context.change(client.top_up(user, &payment)).await
            }
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum InvitationTask {
    /// Gives leave to open accounts; its text is shown once
    Create {
        /// Who is meant
        label: Label,
        /// What the guests will be, besides what they ask for; comma between
        #[arg(long, value_delimiter = ',', value_name = "ROLE")]
        roles: Vec<RoleName>,
        /// How often it can be used: once by default
        #[arg(long)]
        uses: Option<u32>,
        /// How long it is good: a week by default
        #[arg(long, value_name = "SECONDS")]
        lifetime: Option<u64>,
    },
    /// Invitations
    List {
        /// Those that an account can be opened with now, or those that it cannot: true or false
        #[arg(long)]
        good: Option<bool>,
        /// newest (by default) or oldest
        #[arg(long, value_parser = named::<TimeOrder>)]
        sort: Option<TimeOrder>,
        #[command(flatten)]
        list: ListArgs,
    },
    /// An invitation
    Show {
        /// Which
        invitation: InvitationId,
    },
    /// Takes an invitation back
    Withdraw {
        /// Which
        invitation: InvitationId,
    },
}

impl InvitationTask {
    pub(crate) async fn run(self, context: &Context) -> Result<Told, Failure> {
        let client = context.client();
        match self {
            Self::Create { label, roles, uses, lifetime } => {
                let roles = roles.into_iter().collect();
                let wanted = NewInvitation { label, roles, uses, lifetime_seconds: lifetime };
                context.change(client.invite(&wanted)).await
            }
            Self::List { good, sort, list } => {
                context.list(client.list_invitations(&InvitationQuery { good, sort }), &list).await
            }
            Self::Show { invitation } => context.ask(client.show_invitation(invitation)).await,
            Self::Withdraw { invitation } => context.change(client.withdraw_invitation(invitation)).await,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct RoleArgs {
    /// Its name
    name: RoleName,
    /// What people call it
    #[arg(long)]
    label: Label,
    /// What it is for
    #[arg(long, default_value = "")]
    about: Prose,
    /// What it allows: permissions, comma between
    #[arg(long, value_delimiter = ',', value_name = "PERMISSION")]
    permissions: Vec<Permission>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RoleTask {
    /// All roles, by name
    List,
    /// Every permission that a role can have
    Permissions,
    /// A role and what it allows
    Show {
        /// Which
        role: RoleName,
    },
    /// Creates a role
    Create(RoleArgs),
    /// Says all anew of a role
    Edit(RoleArgs),
    /// Removes a role; its name is never given again
    Remove {
        /// Which
        role: RoleName,
    },
}

impl RoleTask {
    pub(crate) async fn run(self, context: &Context) -> Result<Told, Failure> {
        let client = context.client();
        match self {
            Self::List => context.ask(client.list_roles()).await,
            Self::Permissions => context.ask(client.list_permissions()).await,
            Self::Show { role } => context.ask(client.show_role(&role)).await,
            Self::Create(RoleArgs { name, label, about, permissions }) => {
                let permissions = permissions.into_iter().collect();
                context.change(client.create_role(&NewRole { name, label, about, permissions })).await
            }
            Self::Edit(RoleArgs { name, label, about, permissions }) => {
                let permissions = permissions.into_iter().collect();
                let description = RoleDescription { label, about, permissions };
                context.change(client.edit_role(&name, &description)).await
            }
            Self::Remove { role } => context.change(client.remove_role(&role)).await,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum InboxTask {
    /// What one was told
    List {
        /// What administrators were told
        #[arg(long)]
        administration: bool,
        /// Those that were read, or those that were not: true or false
        #[arg(long)]
        read: Option<bool>,
        /// Of what happened from this time on: 2027-01-31T12:00:00Z
        #[arg(long, value_name = "TIME")]
        since: Option<Timestamp>,
        /// Of what happened before this time
        #[arg(long, value_name = "TIME")]
        until: Option<Timestamp>,
        /// newest (by default) or oldest
        #[arg(long, value_parser = named::<TimeOrder>)]
        sort: Option<TimeOrder>,
        #[command(flatten)]
        list: ListArgs,
    },
    /// How much of it is not read
    State {
        /// Of what administrators were told
        #[arg(long)]
        administration: bool,
    },
    /// Notes what was read: all up to this position
    Read {
        /// The position of the last one that was read
        position: u64,
        /// Of what administrators were told
        #[arg(long)]
        administration: bool,
    },
}

impl InboxTask {
    pub(crate) async fn run(self, context: &Context) -> Result<Told, Failure> {
        let client = context.client();
        match self {
            Self::List { administration, read, since, until, sort, list } => {
                let query = NoticeQuery { read, since, until, sort };
                let notices = if administration {
                    client.list_administration_notices(&query)
                } else {
                    client.list_notices(&query)
                };
                context.list(notices, &list).await
            }
            Self::State { administration: false } => context.ask(client.inbox_state()).await,
            Self::State { administration: true } => context.ask(client.administration_inbox_state()).await,
            Self::Read { position, administration: false } => {
                context.change(client.read_notices(position)).await
            }
            Self::Read { position, administration: true } => {
                context.change(client.read_administration_notices(position)).await
            }
        }
    }
}
