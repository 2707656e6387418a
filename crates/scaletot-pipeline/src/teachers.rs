//! The teacher that was asked for, behind one type.

use std::path::Path;

use crate::error::{Context, Result};
use scaletot_chain::ChainSchema;
use scaletot_core::ContentHash;
use scaletot_profile::ProfileSchema;
use scaletot_teacher::{Replay, Rules, Teacher};

use crate::options::{ServerChoice, TeacherChoice};

/// A teacher, and what is known of its speed.
#[non_exhaustive]
pub struct Opened {
    /// Teacher: answers the questions.
    pub teacher: Box<dyn Teacher>,
    /// Mean seconds of one answer when it was recorded; `None` for a teacher that answers itself.
    pub seconds_per_answer: Option<f64>,
    /// Hash of the file that it answers from, if it does: of a server nothing is known but its address.
    pub version: Option<ContentHash>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("teacher", &self.teacher.model()).finish_non_exhaustive()
    }
}

/// Opens the teacher.
///
/// # Errors
/// If its file cannot be read or does not fit the schemas, or it needs a feature that this build lacks.
pub fn open(choice: &TeacherChoice, schema: &ProfileSchema, chain: &ChainSchema) -> Result<Opened> {
    let mut seconds_per_answer = None;
    let teacher: Box<dyn Teacher> = match choice {
        TeacherChoice::Replay(path) => {
            let replay = Replay::open(path).context("the recorded answers")?;
            seconds_per_answer = replay.seconds_per_answer();
            Box::new(replay)
        }
        TeacherChoice::Rules(path) => Box::new(Rules::load(path, schema, chain).context("the expert rules")?),
        TeacherChoice::Gguf(path) => gguf(path)?,
        TeacherChoice::OpenAi(server) => openai(server)?,
    };
    let version = choice.path().map(ContentHash::of_file).transpose()?;
    Ok(Opened { teacher, seconds_per_answer, version })
}

#[cfg(feature = "gguf")]
fn gguf(path: &Path) -> Result<Box<dyn Teacher>> {
    use scaletot_teacher::gguf::{Gguf, GgufOptions};
    Ok(Box::new(Gguf::open(path, GgufOptions::default()).context("the GGUF model")?))
}

#[cfg(not(feature = "gguf"))]
fn gguf(path: &Path) -> Result<Box<dyn Teacher>> {
    Err(crate::Error::MissingFeature {
        what: format!("{}: the GGUF teacher", path.display()),
        feature: "gguf",
    })
}

#[cfg(feature = "openai")]
fn openai(choice: &ServerChoice) -> Result<Box<dyn Teacher>> {
    use scaletot_teacher::openai::{Endpoint, OpenAi};
    use scaletot_teacher::{Retry, RetryPolicy};
    let mut server = OpenAi::builder(&choice.url, &choice.model).with_unencrypted_key(choice.unencrypted_key);
    if choice.chat {
        server = server.with_endpoint(Endpoint::Chat);
    }
    if let Some(timeout) = choice.timeout {
        server = server.with_timeout(timeout);
    }
    if let Some(samples) = choice.samples_per_request {
        server = server.with_samples_per_request(samples);
    }
    if let Some(variable) = &choice.key_variable {
        server = server.with_key_variable(variable);
    }
    Ok(Box::new(Retry::new(server.build().context("the server")?, RetryPolicy::default())?))
}

#[cfg(not(feature = "openai"))]
fn openai(choice: &ServerChoice) -> Result<Box<dyn Teacher>> {
    Err(crate::Error::MissingFeature {
        what: format!("{choice}: the teacher behind a server"),
        feature: "openai",
    })
}
