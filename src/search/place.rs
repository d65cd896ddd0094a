//! How far the index has come: committed in one step with what it holds.

use serde::{Deserialize, Serialize};

use super::SearchError;
use super::schema::FORM;

/// The place of an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Form of the index.
    pub form: u32,
    /// The database that it is of.
    pub database: String,
    /// Newest change that it knows.
    pub seq: i64,
    /// Day up to which downloads are counted in.
    pub counted_day: i64,
}

impl Place {
    /// Of an empty index.
    #[must_use]
    pub fn start(database: &str, counted_day: i64) -> Self {
        Self { form: FORM, database: database.to_owned(), seq: 0, counted_day }
    }

    /// Reads the place that an index was committed with.
    ///
    /// # Errors
    /// [`SearchError::Foreign`] when it is of another form, database or future.
    pub fn read(payload: Option<&str>, database: &str, last_seq: i64) -> Result<Self, SearchError> {
        let payload = payload.unwrap_or_default();
        let place: Self = serde_json::from_str(payload)
            .map_err(|error| SearchError::Foreign(format!("its place is unreadable: {error}")))?;
        if place.form != FORM {
            return Err(SearchError::Foreign(format!("its form is {} and not {FORM}", place.form)));
        }
        if place.database != database {
            return Err(SearchError::Foreign(format!("it is of {}", place.database)));
        }
        if place.seq > last_seq {
            let text = format!("it knows change {}, the newest is {last_seq}", place.seq);
            return Err(SearchError::Foreign(text));
        }
        Ok(place)
    }

    /// The text to commit.
    #[must_use]
    pub fn payload(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_believed_for_its_own_database_and_form() {
        let place = Place { seq: 7, ..Place::start("one", 3) };
        let payload = place.payload();
        assert_eq!(Place::read(Some(&payload), "one", 7).unwrap(), place);
        assert!(Place::read(Some(&payload), "one", 6).is_err());
        assert!(Place::read(Some(&payload), "two", 7).is_err());
        assert!(Place::read(None, "one", 7).is_err());
        let newer = Place { form: FORM + 1, ..place }.payload();
        assert!(Place::read(Some(&newer), "one", 7).is_err());
    }
}
