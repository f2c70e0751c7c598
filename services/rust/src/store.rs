//! Users in SQLite.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};

use crate::proto::User;
use crate::status::{Code, Outcome, Status};

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS users (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    email      TEXT NOT NULL UNIQUE COLLATE NOCASE,
    created_at TEXT NOT NULL
) STRICT;
";

/// A store of users. Any thread may use it; calls take turns.
///
/// Every call is one statement, so none is ever half done.
#[derive(Debug)]
pub struct Store(Mutex<Connection>);

impl Store {
    /// Opens a file, or `:memory:`.
    ///
    /// # Errors
    /// What SQLite says: that the file cannot be made, or is none of its own.
    pub fn open(path: &str) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        // It answers with the mode that it has taken: of a store in memory, "memory".
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.execute_batch(SCHEMA)?;
        Ok(Store(Mutex::new(connection)))
    }

    /// All users, in the order of their creation.
    ///
    /// # Errors
    /// INTERNAL.
    pub fn list(&self) -> Outcome<Vec<User>> {
        self.select("SELECT id, name, email, created_at FROM users ORDER BY number", ())
    }

    /// One user.
    ///
    /// # Errors
    /// NOT_FOUND.
    pub fn get(&self, id: &str) -> Outcome<User> {
        self.one("SELECT id, name, email, created_at FROM users WHERE id = ?1", [id], id)
    }

    /// Adds a user.
    ///
    /// # Errors
    /// ALREADY_EXISTS when another has the e-mail.
    pub fn insert(&self, user: &User) -> Outcome<()> {
        let sql = "INSERT INTO users (id, name, email, created_at) VALUES (?1, ?2, ?3, ?4)";
        let row = params![user.id, user.name, user.email, user.created_at];
        let done = self.connection().prepare_cached(sql).and_then(|mut statement| statement.execute(row));
        done.map(drop).map_err(|error| refused(&error, &user.email))
    }

    /// Replaces name and e-mail, and returns the user as it is now.
    ///
    /// # Errors
    /// NOT_FOUND; ALREADY_EXISTS when another has the e-mail.
    pub fn update(&self, id: &str, name: &str, email: &str) -> Outcome<User> {
        let sql =
            "UPDATE users SET name = ?2, email = ?3 WHERE id = ?1 RETURNING id, name, email, created_at";
        let found = self.query_row(sql, [id, name, email]).map_err(|error| refused(&error, email))?;
        found.ok_or_else(|| unknown(id))
    }

    /// Removes a user, and returns it as it was.
    ///
    /// # Errors
    /// NOT_FOUND.
    pub fn delete(&self, id: &str) -> Outcome<User> {
        self.one("DELETE FROM users WHERE id = ?1 RETURNING id, name, email, created_at", [id], id)
    }

    /// The users whose name or e-mail contains `q`.
    ///
    /// # Errors
    /// INTERNAL.
    pub fn search(&self, q: &str) -> Outcome<Vec<User>> {
        let sql = "SELECT id, name, email, created_at FROM users \
                   WHERE instr(lower(name), lower(?1)) OR instr(lower(email), lower(?1)) ORDER BY number";
        self.select(sql, [q])
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic leaves no statement open: it is reset when it is dropped.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn select(&self, sql: &str, values: impl rusqlite::Params) -> Outcome<Vec<User>> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(sql).map_err(Status::internal)?;
        let rows = statement.query_map(values, user).map_err(Status::internal)?;
        rows.collect::<Result<_, _>>().map_err(Status::internal)
    }

    fn one(&self, sql: &str, values: impl rusqlite::Params, id: &str) -> Outcome<User> {
        self.query_row(sql, values).map_err(Status::internal)?.ok_or_else(|| unknown(id))
    }

    fn query_row(&self, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<Option<User>> {
        self.connection().prepare_cached(sql)?.query_row(values, user).optional()
    }
}

fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User { id: row.get(0)?, name: row.get(1)?, email: row.get(2)?, created_at: row.get(3)? })
}

fn unknown(id: &str) -> Status {
    let shown: String = id.chars().take(100).collect();
    Status::not_found(format!("there is no user '{shown}'"))
}

fn refused(error: &rusqlite::Error, email: &str) -> Status {
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => {
            Status::new(Code::AlreadyExists, format!("another user has the e-mail '{email}'"))
        }
        _ => Status::internal(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ada() -> User {
        User { id: "1".into(), name: "Ada".into(), email: "ada@example.org".into(), created_at: "t".into() }
    }

    #[test]
    fn a_taken_email_is_refused_and_nothing_changes() {
        let store = Store::open(":memory:").unwrap();
        store.insert(&ada()).unwrap();
        let other = User { id: "2".into(), email: "ADA@example.org".into(), ..ada() };
        assert_eq!(store.insert(&other).unwrap_err().code, Code::AlreadyExists);
        store.insert(&User { email: "bob@example.org".into(), ..other }).unwrap();
        assert_eq!(store.update("2", "Bob", "ada@EXAMPLE.org").unwrap_err().code, Code::AlreadyExists);
        assert_eq!(store.get("2").unwrap().email, "bob@example.org");
        assert_eq!(store.list().unwrap().len(), 2);
    }

    #[test]
    fn a_file_keeps_its_users() {
        let dir = std::env::temp_dir().join(format!("users-store-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("users.db");
        Store::open(path.to_str().unwrap()).unwrap().insert(&ada()).unwrap();
        assert_eq!(Store::open(path.to_str().unwrap()).unwrap().list().unwrap(), [ada()]);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn search_takes_nothing_for_a_pattern() {
        let store = Store::open(":memory:").unwrap();
        store.insert(&ada()).unwrap();
        assert_eq!(store.search("%").unwrap(), []);
        assert_eq!(store.search("EXAMPLE").unwrap(), [ada()]);
    }
}
