//! `latentwire models`: what a folder of models holds and whether it loads, or what a running sender-svc codes with.

use std::path::{Path, PathBuf};

use latentwire_codec::{
    Codec, CodecConfig, RESEARCH_FOLDER, SelfCheck, SessionOptions,
    imaging::Limits,
    model::{self, ModelFolder, Parts},
};
use latentwire_proto::v1::{ListModelsRequest, send_service_client::SendServiceClient};
use latentwire_service::dial::CredentialArgs;
use latentwire_service::{args::models_folder, convert::purpose_name};
use serde_json::{Value, json};

use crate::{
    args::ModelsArgs,
    connect::connect,
    failure::{Exit, Failure},
    outcome::modality_word,
    paths::display,
    table::{Cell, Column, Table, number, words},
    terminal::{self, Paint, Terminal},
};

const LOCAL_COLUMNS: [Column; 8] = [
    words("id"),
    words("loads"),
    words("purpose"),
    words("modality").rank(1),
    words("certified").rank(2),
    number("bytes").rank(3),
    words("licence").rank(4),
    words("decoder digest").rank(5),
];

const REMOTE_COLUMNS: [Column; 7] = [
    words("id"),
    words("purpose"),
    words("modality"),
    words("certified").rank(2),
    words("encoder").rank(1),
    words("decoder").rank(1),
    words("decoder digest").rank(5),
];

/// Shows the models of a folder.
///
/// # Errors
/// The folder cannot be read. A model that does not load is no error but an [`Exit`].
pub fn local(args: &ModelsArgs, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let models = find(&args.models, args.research_models, args.onnxruntime.as_deref())?;
    if models.is_empty() {
        let message = format!("there is no model in {}: pass --models DIR", args.models.display());
        return Err(Failure::local("MODEL_NOT_READY", message));
    }
    let mut table = Table::new(&LOCAL_COLUMNS);
    for found in &models {
        if args.json {
            terminal.print(&format!("{}\n", found.object()))?;
        } else if terminal.quiet() {
            if let (Ok(model), None) = (&found.model, found.problem()) {
                terminal.print(&format!("{}\n", model.id))?;
            }
        } else {
            table.push(found.row());
        }
    }
    if !args.json && !terminal.quiet() {
        let text = table.render(terminal.width());
        terminal.print(&text)?;
    }
    let broken = models.iter().filter_map(|found| found.problem().map(|problem| (found, problem)));
    let mut exit = Exit::Done;
    for (found, problem) in broken {
        exit = Exit::Rejected;
        terminal::error(&format!("{}: {problem}", found.folder.display()));
    }
    Ok(exit)
}

/// Shows the models of a running sender-svc.
///
/// # Errors
/// It cannot be reached, or refuses.
pub async fn remote(
    url: &str,
    credentials: &CredentialArgs,
    json: bool,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Failure> {
    let mut client = SendServiceClient::new(connect("sender-svc", url, credentials).await?);
    let models = client.list_models(ListModelsRequest {}).await?.into_inner().models;
    let mut table = Table::new(&REMOTE_COLUMNS);
    for model in &models {
        let (modality, digest) = (modality_word(model.modality()), hex::encode(&model.decoder_digest));
        if json {
            let object = json!({
                "id": model.id,
                "family": model.family,
                "modality": modality,
                "purpose": purpose_name(model.purpose()),
                "decoder_digest": digest,
                "certified": model.certified,
                "encoder": model.encoder,
                "decoder": model.decoder,
            });
            terminal.print(&format!("{object}\n"))?;
        } else if terminal.quiet() {
            terminal.print(&format!("{}\n", model.id))?;
        } else {
            let yes_no = |yes| if yes { "yes" } else { "no" };
            table.push(vec![
                model.id.clone().into(),
                purpose_name(model.purpose()).into(),
                modality.into(),
                yes_no(model.certified).into(),
                yes_no(model.encoder).into(),
                yes_no(model.decoder).into(),
                digest.into(),
            ]);
        }
    }
    if !json && !terminal.quiet() {
        let text = table.render(terminal.width());
        terminal.print(&text)?;
    }
    Ok(Exit::Done)
}

/// A model folder, and what became of reading and loading it.
pub struct Found {
    /// The folder.
    pub folder: PathBuf,
    /// What it says; else why it cannot be read.
    pub model: Result<Described, String>,
}

/// What a model folder says of itself, and whether its nets load.
pub struct Described {
    /// The model's id.
    pub id: String,
    family: String,
    modality: &'static str,
    purpose: &'static str,
    licence: Option<String>,
    digest: String,
    certified: bool,
    encoder_bytes: Option<usize>,
    decoder_bytes: Option<usize>,
    tables_bytes: usize,
    /// Whether its decoder gives other bits here than it is certified to give.
    pub differs_here: bool,
    /// Why ONNX Runtime does not take its nets.
    load_error: Option<String>,
}

/// The models directly below a folder, and below its research folder where that is asked for, each read, checked against
/// its digests, and loaded.
///
/// # Errors
/// The folder cannot be read.
pub fn find(models: &Path, research: bool, onnxruntime: Option<&Path>) -> Result<Vec<Found>, Failure> {
    let models = models_folder(models);
    let find = |folder: &Path| {
        model::find(folder).map_err(|error| Failure::local("MODEL_NOT_READY", error.to_string()))
    };
    let mut folders = find(&models)?;
    let below = models.join(RESEARCH_FOLDER);
    if research && below.is_dir() {
        folders.extend(find(&below)?);
    }
    let found = folders.into_iter().map(|folder| {
        let model = describe(&folder, &models, onnxruntime);
        Found { folder, model }
    });
    Ok(found.collect())
}

fn describe(folder: &Path, models: &Path, onnxruntime: Option<&Path>) -> Result<Described, String> {
    let both = Parts { encoder: true, decoder: true };
    let decoder_alone = Parts { encoder: false, decoder: true };
    let parts = if folder.join("manifest.toml").exists() { both } else { decoder_alone };
    let read = ModelFolder::read(folder, parts).map_err(|error| error.to_string())?;
    let config = CodecConfig {
        models: models.to_owned(),
        pins: Some(vec![read.digest]),
        research: true,
        parts,
        sessions: SessionOptions::default(),
        dylib: onnxruntime.map(Path::to_owned),
        limits: Limits::default(),
    };
    let loaded = Codec::load(&config).map(|codec| codec.models());
    let differs_here = loaded.as_ref().is_ok_and(|models| {
        models.iter().any(|model| model.digest == read.digest && model.check == SelfCheck::Differs)
    });
    Ok(Described {
        id: read.id,
        family: read.decode.family.clone(),
        purpose: read.decode.purpose.name(),
        modality: read.manifest.as_ref().map_or("other", |manifest| manifest.modality.name()),
        licence: read.manifest.map(|manifest| manifest.licence),
        digest: read.digest.to_string(),
        certified: read.decode.decoder.certified && !differs_here,
        differs_here,
        encoder_bytes: read.encoder.as_ref().map(Vec::len),
        decoder_bytes: read.decoder.as_ref().map(Vec::len),
        tables_bytes: read.tables.len(),
        load_error: loaded.err().map(|error| error.to_string()),
    })
}

impl Found {
    /// Why the model cannot be used.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        match &self.model {
            Ok(model) => model.load_error.as_deref(),
            Err(problem) => Some(problem),
        }
    }

    fn object(&self) -> Value {
        let model = self.model.as_ref().ok();
        json!({
            "folder": display(&self.folder),
            "id": model.map(|model| &model.id),
            "family": model.map(|model| &model.family),
            "modality": model.map(|model| model.modality),
            "purpose": model.map(|model| model.purpose),
            "decoder_digest": model.map(|model| &model.digest),
            "certified": model.map(|model| model.certified),
            "licence": model.and_then(|model| model.licence.as_ref()),
            "encoder_bytes": model.and_then(|model| model.encoder_bytes),
            "decoder_bytes": model.and_then(|model| model.decoder_bytes),
            "tables_bytes": model.map(|model| model.tables_bytes),
            "loads": self.problem().is_none(),
            "problem": self.problem(),
        })
    }

    fn row(&self) -> Vec<Cell> {
        let loads = match self.problem() {
            None => Cell::painted(Paint::Good, "yes"),
            Some(_) => Cell::painted(Paint::Bad, "no"),
        };
        let Ok(model) = &self.model else {
            let name = self.folder.file_name().unwrap_or(self.folder.as_os_str());
            return vec![name.to_string_lossy().into_owned().into(), loads];
        };
        let bytes = model.encoder_bytes.unwrap_or(0) + model.decoder_bytes.unwrap_or(0) + model.tables_bytes;
        vec![
            model.id.clone().into(),
            loads,
            model.purpose.into(),
            model.modality.into(),
            if model.certified { "yes" } else { "no" }.into(),
            bytes.to_string().into(),
            model.licence.clone().unwrap_or_else(|| "-".to_owned()).into(),
            model.digest.clone().into(),
        ]
    }
}
