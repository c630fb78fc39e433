//! What a collection says of an artifact that does not say it itself, as a hook or an MCP server cannot: which
//! fields of it are the collection's word is kept beside them, so that the collection may say otherwise later.

use toml::Value;

use crate::artifact::{Artifact, other_names};
use crate::front_matter::{DESCRIPTION_CHARS_MAX, FrontMatter, LIST_MAX, WORD_CHARS_MAX};

/// Reads `[artifacts.metadata]`, and the tags beside it, as far as they can be understood.
pub(crate) fn read(metadata: Option<&Value>, tags: Option<&Value>) -> FrontMatter {
    let field = |name: &str| metadata.and_then(|metadata| metadata.get(name));
    let text = |name: &str, most| {
        let text = field(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
        text.map(|text| text.chars().take(most).collect::<String>())
    };
    FrontMatter {
        name: text("title", WORD_CHARS_MAX + 1).filter(|title| title.chars().count() <= WORD_CHARS_MAX),
        description: text("description", DESCRIPTION_CHARS_MAX),
        version: text("version", WORD_CHARS_MAX),
        tags: field("tags")
            .map(words)
            .filter(|words| !words.is_empty())
            .or(tags.map(words))
            .unwrap_or_default(),
        license: text("license", WORD_CHARS_MAX),
        aliases: Vec::new(),
        source: None,
    }
}

fn words(list: &Value) -> Vec<String> {
    let all = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let fits = |word: &&str| !word.is_empty() && word.chars().count() <= WORD_CHARS_MAX;
    all.iter()
        .filter_map(Value::as_str)
        .map(str::trim)
        .filter(fits)
        .take(LIST_MAX)
        .map(str::to_owned)
        .collect()
}

/// A field, and where it is in a front matter and in an artifact.
type Texts = (&'static str, fn(&mut Artifact) -> &mut Option<String>, fn(&FrontMatter) -> &Option<String>);
type Lists = (&'static str, fn(&mut Artifact) -> &mut Vec<String>, fn(&FrontMatter) -> Vec<String>);

const TEXTS: [Texts; 3] = [
    ("description", |one| &mut one.description, |said| &said.description),
    ("version", |one| &mut one.version, |said| &said.version),
    ("license", |one| &mut one.license, |said| &said.license),
];

const LISTS: [Lists; 2] = [
    ("tags", |one| &mut one.tags, |said| said.tags.clone()),
    ("aliases", |one| &mut one.aliases, |said| said.name.iter().chain(&said.aliases).cloned().collect()),
];

impl Artifact {
    /// Fills what it does not say itself.
    pub(crate) fn fill(&mut self, said: &FrontMatter) {
        if self.source.is_none() {
            self.source.clone_from(&said.source);
        }
        for (name, own, theirs) in TEXTS {
            if own(self).is_none() && theirs(said).is_some() {
                own(self).clone_from(theirs(said));
                self.by_collection.push(name.to_owned());
            }
        }
        for (name, own, theirs) in LISTS {
            let words = other_names(&self.name, theirs(said));
            if own(self).is_empty() && !words.is_empty() {
                *own(self) = words;
                self.by_collection.push(name.to_owned());
            }
        }
    }

    /// What it says itself.
    pub(crate) fn said(&self) -> FrontMatter {
        let mut own = self.clone();
        own.let_go_of(&self.by_collection);
        FrontMatter {
            name: None,
            description: own.description,
            version: own.version,
            tags: own.tags,
            license: own.license,
            aliases: own.aliases,
            source: own.source.filter(|_| self.source_is_own),
        }
    }

    /// What its collection says of it.
    pub(crate) fn told(&self) -> FrontMatter {
        let mut theirs = self.clone();
        let own = ["description", "version", "license", "tags", "aliases"].map(str::to_owned);
        let own: Vec<String> = own.into_iter().filter(|name| !self.by_collection.contains(name)).collect();
        theirs.let_go_of(&own);
        FrontMatter {
            name: None,
            description: theirs.description,
            version: theirs.version,
            tags: theirs.tags,
            license: theirs.license,
            aliases: theirs.aliases,
            source: theirs.source.filter(|_| !self.source_is_own),
        }
    }

    /// Leaves it to others to say where it is from, if it does not itself.
    pub(crate) fn let_go_of_source(&mut self) {
        if !self.source_is_own {
            self.source = None;
        }
    }

    fn let_go_of(&mut self, fields: &[String]) {
        for (_, own, _) in TEXTS.iter().filter(|(name, ..)| fields.iter().any(|field| field == name)) {
            *own(self) = None;
        }
        for (_, own, _) in LISTS.iter().filter(|(name, ..)| fields.iter().any(|field| field == name)) {
            own(self).clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ArtifactType, Collection, Upstream};

    const MANIFEST: &str = "[[artifacts]]\nname = \"srv\"\ntype = \"mcp_server\"\ntags = [\"net\", 7]\n\
        [artifacts.metadata]\ntitle = \"The server\"\ndescription = \"serves\"\nlicense = \"MIT\"\nversion = 2\n";

    fn upstream(manifest: &str) -> Upstream {
        let mut all = Collection::read(manifest.as_bytes(), "c").unwrap().artifacts;
        all.remove(&("srv".to_owned(), ArtifactType::Mcp)).unwrap()
    }

    fn artifact(front: FrontMatter, said: &FrontMatter) -> Artifact {
        let FrontMatter { description, version, tags, license, aliases, .. } = front;
        let mut one = Artifact {
            name: "srv".to_owned(),
            description,
            version,
            tags,
            license,
            aliases,
            ..Artifact::default()
        };
        one.fill(said);
        one
    }

    #[test]
    fn what_an_artifact_does_not_say_its_collection_does() {
        let said = upstream(MANIFEST).said;
        let one = artifact(FrontMatter { license: Some("own".into()), ..FrontMatter::default() }, &said);
        assert_eq!((one.description.as_deref(), one.license.as_deref()), (Some("serves"), Some("own")));
        assert_eq!((&*one.tags, &*one.aliases), (&["net".to_owned()][..], &["The server".to_owned()][..]));
        assert_eq!(one.version, None, "a number is no version that anybody wrote");
    }

    #[test]
    fn what_the_collection_said_is_not_taken_for_its_own_word_later() {
        let one = artifact(FrontMatter::default(), &upstream(MANIFEST).said);
        assert_eq!(one.said(), FrontMatter::default());
        let later = upstream(&MANIFEST.replace("serves", "serves all"));
        assert_eq!(artifact(one.said(), &later.said).description.as_deref(), Some("serves all"));
        assert_eq!(artifact(one.said(), &FrontMatter::default()).description, None);
        let kept = artifact(one.said(), &one.told());
        assert_eq!(kept, one, "where the collection cannot be read, what it said stays");
    }
}
