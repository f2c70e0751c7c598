//! What the service does, whoever carries its messages.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::proto::{
    ChatLine, CreateUserRequest, DeleteUserRequest, GetItemRequest, GetUserRequest, Item, ListItemsRequest,
    ListUsersRequest, SearchUsersRequest, UpdateUserRequest, UploadSummary, User, UserList,
};
use crate::status::{Outcome, Status};
use crate::store::Store;

/// The last item of the catalogue.
pub const LAST_ITEM: u32 = 1_000_000;
/// The longest delay of an echo, in milliseconds.
pub const MAX_DELAY_MS: u32 = 10_000;

const MAX_NAME: usize = 100;
const MAX_EMAIL: usize = 254;

/// The service: users in a store, items that are computed.
#[derive(Debug)]
pub struct Service {
    store: Store,
}

impl Service {
    /// A service over this store.
    pub fn new(store: Store) -> Self {
        Service { store }
    }

    /// `Users.List`.
    pub fn list_users(&self, _: ListUsersRequest) -> Outcome<UserList> {
        Ok(UserList { users: self.store.list()? })
    }

    /// `Users.Get`.
    pub fn get_user(&self, request: GetUserRequest) -> Outcome<User> {
        self.store.get(required("id", &request.id)?)
    }

    /// `Users.Create`.
    pub fn create_user(&self, request: CreateUserRequest) -> Outcome<User> {
        let user = User {
            name: name(&request.name)?,
            email: email(&request.email)?,
            id: Uuid::new_v4().to_string(),
            created_at: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string(),
        };
        self.store.insert(&user)?;
        Ok(user)
    }

    /// `Users.Update`.
    pub fn update_user(&self, request: UpdateUserRequest) -> Outcome<User> {
        let id = required("id", &request.id)?;
        self.store.update(id, &name(&request.name)?, &email(&request.email)?)
    }

    /// `Users.Delete`.
    pub fn delete_user(&self, request: DeleteUserRequest) -> Outcome<User> {
        self.store.delete(required("id", &request.id)?)
    }

    /// `Users.Search`.
    pub fn search_users(&self, request: SearchUsersRequest) -> Outcome<UserList> {
        let q = required("q", request.q.trim())?;
        check_text("q", q, MAX_EMAIL)?;
        Ok(UserList { users: self.store.search(q)? })
    }
}

/// `Items.Get`.
pub fn get_item(request: GetItemRequest) -> Outcome<Item> {
    match request.id {
        0 => Err(Status::invalid("an item's id is 0, expected 1 or more")),
        id if id <= LAST_ITEM => Ok(item(id)),
        id => Err(Status::not_found(format!("there is no item {id}; the last is {LAST_ITEM}"))),
    }
}

/// `Items.List`.
pub fn list_items(request: ListItemsRequest) -> Outcome<impl Iterator<Item = Item> + Send + use<>> {
    if request.first == 0 {
        return Err(Status::invalid("the first item's id is 0, expected 1 or more"));
    }
    let end = request.first.saturating_add(request.count).min(LAST_ITEM + 1);
    Ok((request.first..end).map(item))
}

/// One more item of `Items.Upload`.
pub fn add_item(summary: &mut UploadSummary, item: &Item) -> Outcome<()> {
    if item.id == 0 || item.name.trim().is_empty() {
        return Err(Status::invalid(format!(
            "item {} of the upload has id {} and name '{}', expected an id of 1 or more and a name",
            summary.count + 1,
            item.id,
            item.name
        )));
    }
    summary.count += 1;
    summary.sum += u64::from(item.id);
    Ok(())
}

/// The answer to a line of `Items.Chat`, the `number`-th.
pub fn answer(line: &ChatLine, number: u32) -> ChatLine {
    ChatLine { number, text: line.text.to_uppercase() }
}

/// How long an `Items.Echo` shall wait.
pub fn delay(ms: u32) -> Outcome<Duration> {
    if ms > MAX_DELAY_MS {
        return Err(Status::invalid(format!("delay_ms is {ms}, expected at most {MAX_DELAY_MS}")));
    }
    Ok(Duration::from_millis(ms.into()))
}

/// The item of this id.
pub fn item(id: u32) -> Item {
    Item { id, name: format!("item {id}") }
}

fn required<'a>(field: &str, text: &'a str) -> Outcome<&'a str> {
    if text.trim().is_empty() {
        return Err(Status::invalid(format!("{field} is missing or blank")));
    }
    Ok(text)
}

fn check_text(field: &str, text: &str, most: usize) -> Outcome<()> {
    let length = text.chars().count();
    if length > most {
        return Err(Status::invalid(format!("{field} has {length} characters, expected at most {most}")));
    }
    if text.chars().any(char::is_control) {
        return Err(Status::invalid(format!("{field} contains a control character")));
    }
    Ok(())
}

fn name(text: &str) -> Outcome<String> {
    let text = required("name", text.trim())?;
    check_text("name", text, MAX_NAME)?;
    Ok(text.to_owned())
}

fn email(text: &str) -> Outcome<String> {
    let text = required("email", text.trim())?;
    check_text("email", text, MAX_EMAIL)?;
    if !is_email(text) {
        return Err(Status::invalid(format!("email is '{text}', expected something like ada@example.org")));
    }
    Ok(text.to_owned())
}

/// Whether it matches `^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+$`.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let labels = || domain.split('.');
    !local.is_empty()
        && !domain.contains('@')
        && !text.contains(char::is_whitespace)
        && labels().count() > 1
        && labels().all(|label| !label.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_has_a_local_part_and_a_domain_with_a_dot() {
        for good in ["a@b.c", "a.b+c@d.e.f", "ä@ö.ü"] {
            assert!(is_email(good), "{good}");
        }
        for bad in ["", "a", "a@", "@b.c", "a@b", "a@b.", "a@.c", "a@b..c", "a@b@c.d", "a b@c.d", "a@b.c d"] {
            assert!(!is_email(bad), "{bad}");
        }
    }

    #[test]
    fn the_catalogue_ends() {
        let ids = |first, count| list_items(ListItemsRequest { first, count }).unwrap().map(|item| item.id);
        assert_eq!(ids(LAST_ITEM - 1, u32::MAX).collect::<Vec<_>>(), [LAST_ITEM - 1, LAST_ITEM]);
        assert_eq!(ids(u32::MAX, u32::MAX).count(), 0);
        assert_eq!(ids(1, 0).count(), 0);
    }
}
