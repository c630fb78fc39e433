//! What the documents of Larder's own kinds must be. A store does not know what a repository or a tracker is.

use larder_core::{ItemRef, Json};
use larder_domain::{ARTIFACT, Artifact, LocalProject, PROJECT, REPOSITORY, Repository, TRACKER, Tracker};

/// Reads a document as one of its kind, and as that of its item; the error says why it is none. Since documents are
/// read leniently, one of another form may look like one that knows next to nothing. Of kinds that other programs'
/// sources have nothing is known.
pub fn check(of: &ItemRef, doc: &Json) -> Result<(), String> {
    let says = match &*of.kind {
        REPOSITORY => ItemRef::new(REPOSITORY, read::<Repository>(doc)?.id()),
        TRACKER => read::<Tracker>(doc)?.item_ref(of.id.split('/').next().unwrap_or_default()),
        PROJECT => ItemRef::new(PROJECT, read::<LocalProject>(doc)?.id),
        // Where it lies is the entry's to know.
        ARTIFACT => return read::<Artifact>(doc).map(drop),
        _ => return Ok(()),
    };
    if says == *of { Ok(()) } else { Err(format!("its document is that of `{}`", says.id)) }
}

fn read<T: serde::de::DeserializeOwned>(doc: &Json) -> Result<T, String> {
    doc.decode().map_err(|error| said(&error))
}

/// What is wrong with a JSON text, without a place in its line: documents have one.
pub fn said(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split_once(" at line ").map_or(text.clone(), |(what, _)| what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(kind: &'static str, id: &str, doc: &str) -> Result<(), String> {
        check(&ItemRef::new(kind, id), &Json::parse(doc).unwrap())
    }

    #[test]
    fn documents_are_read_as_what_they_are() {
        let wrong = [
            (REPOSITORY, r#"{"stars":"many"}"#),
            (TRACKER, r#"{"number":"one"}"#),
            (PROJECT, r#"{"created_at":7}"#),
            (ARTIFACT, r#"{"type":"spell"}"#),
        ];
        for (kind, doc) in wrong {
            assert!(checked(kind, "x", doc).is_err(), "{kind}");
            assert!(checked("book", "x", doc).is_ok());
        }
    }

    #[test]
    fn a_document_is_that_of_its_item() {
        let repository = r#"{"host":"github.com","owner":"Octo-Org","name":"Kiln","stars":1}"#;
        assert_eq!(checked(REPOSITORY, "github.com/octo-org/kiln", repository), Ok(()));
        let other = checked(REPOSITORY, "github.com/octo-org/forge", repository);
        assert_eq!(other.unwrap_err(), "its document is that of `github.com/octo-org/kiln`");
        assert!(checked(REPOSITORY, "github.com/octo-org/kiln", r#"{"title":"a book"}"#).is_err());
        let project = r#"{"id":"p1","name":"site"}"#;
        assert!(checked(PROJECT, "p1", project).is_ok() && checked(PROJECT, "p2", project).is_err());
    }
}
