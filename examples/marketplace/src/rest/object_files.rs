//! Files of virtual objects: their bytes, in and out.
//!
//! Bytes are sent and given as they are, with the media type of the file. They are checked, hashed and stored as they
//! come, and given as they are read: neither side holds a whole file in memory, but for JSON documents, which are looked
//! at as a whole when they come. An upload has to arrive within the time that requests have, half a minute.

use axum::body::{Body, BodyDataStream};
use axum::extract::{FromRequest, Request};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt as _;
use futures_util::stream::try_unfold;
use i3_core::access::Action;
use i3_core::id::{UploadId, VirtualObjectId};
use i3_core::market::{AttachFile, DetachFile, FileReader, FileWriter, Marketplace, PurgeFile, WholeFile};
use i3_core::store::Digest;
use i3_core::virtual_object::{File, FileName, MediaType, VirtualObject};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::runtime::Handle;

use super::AppState;
use super::body::{media_type, unpacked};
use super::problem::Problem;
use super::representation::Shown;
use super::request::{Answer, Api, InPath, InQuery};
use super::route::{Doc, Input, Output, Routes, about};
use super::virtual_objects::{ObjectAnswer, changed, which_version};

pub(super) fn routes() -> Routes {
    const FILE: &str = "/virtual_objects/{object}/files/{file}";
    let edits = |id, summary| about(id, summary).permission(Action::EditVirtualObject);
    Routes::new()
        .get(
            FILE,
            download,
            about(
                "download_virtual_object_file",
                "The bytes of a file of a virtual object, for those who see the object; the entity tag is their SHA-256",
            )
            .anybody()
            .own_formats(),
        )
        .put(
            FILE,
            attach,
            edits(
                "attach_virtual_object_file",
                "Attaches a file to a virtual object, in place of one of the same name",
            )
            // One address has one layer around it.
            .own_formats(),
        )
        .delete(
            FILE,
            detach,
            edits(
                "detach_virtual_object_file",
                "Leaves a file out of a virtual object from now on; earlier versions keep it",
            )
            .relation("detach-file")
            .own_formats(),
        )
        .delete(
            "/virtual_objects/{object}/kept-files/{sha256}",
            purge,
            edits(
                "purge_virtual_object_file",
                "Lets go of the bytes of a file that only earlier versions of a virtual object have",
            ),
        )
}

/// The bytes of a file, as they come.
pub(super) struct FileBody {
    media_type: MediaType,
    announced: Option<u64>,
    bytes: BodyDataStream,
}

impl Input for FileBody {
    fn describe(doc: &mut Doc<'_>) {
        doc.takes(MediaType::ALL.map(MediaType::as_str));
    }
}

impl FromRequest<AppState> for FileBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &AppState) -> Answer<Self> {
        unpacked(request.headers())?;
        let media_type = media_type(request.headers())
            .parse()
            .map_err(|_| Problem::media_type(&MediaType::ALL.map(MediaType::as_str)))?;
        let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        let announced = length.and_then(|length| length.parse().ok());
        Ok(Self { media_type, announced, bytes: request.into_body().into_data_stream() })
    }
}

impl FileBody {
    async fn stored(mut self, api: &Api, mut writer: FileWriter) -> Answer<WholeFile> {
        loop {
            match self.bytes.try_next().await {
                Ok(Some(bytes)) => writer.write(&bytes).await.map_err(|error| api.refused(error))?,
                Ok(None) => return writer.finish().await.map_err(|error| api.refused(error)),
                Err(error) => {
                    let detail = format!("the body did not arrive: {error}");
                    return Err(Problem::new(StatusCode::BAD_REQUEST, "bad_request", detail));
                }
            }
        }
    }
}

async fn attach(
    api: Api,
    InPath((object, name)): InPath<(VirtualObjectId, FileName)>,
    body: FileBody,
) -> Answer<Shown<ObjectAnswer>> {
    let media_type = body.media_type;
    let writer = api.market().write_file(api.actor, object, media_type, body.announced).await;
    let writer = writer.map_err(|error| api.refused(error))?;
    let upload = writer.upload();
    let rest = RestOfUpload { market: api.market().clone(), upload, is_left: true };
    let attached = async {
        let WholeFile { bytes, sha256, .. } = body.stored(&api, writer).await?;
        let file = File { name, media_type, bytes, sha256 };
        let command = AttachFile { object, file, expect: None, upload: Some(upload) };
        api.execute_on::<VirtualObject, _>(object, command).await
    };
    let attached = attached.await;
    rest.discard().await;
    changed(&api, attached?).await
}

/// What is left of an upload that is not attached, or not whole, belongs to nobody. Also if the client goes away, which
/// drops the request where it is.
struct RestOfUpload {
    market: Marketplace,
    upload: UploadId,
    is_left: bool,
}

impl RestOfUpload {
    async fn discard(mut self) {
        discard(&self.market, self.upload).await;
        self.is_left = false;
    }
}

impl Drop for RestOfUpload {
    fn drop(&mut self) {
        if self.is_left
            && let Ok(runtime) = Handle::try_current()
        {
            let (market, upload) = (self.market.clone(), self.upload);
            runtime.spawn(async move { discard(&market, upload).await });
        }
    }
}

async fn discard(market: &Marketplace, upload: UploadId) {
    if let Err(error) = market.discard_upload(upload).await {
        // It is swept later.
        tracing::warn!(%upload, "the rest of an upload could not be removed: {error}");
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FileQuery {
    /// Of an earlier version: its number, or its hash (`sha256:…`).
    version: Option<String>,
}

/// The bytes of a file.
pub(super) struct FileAnswer(FileReader);

impl Output for FileAnswer {
    fn describe(doc: &mut Doc<'_>) {
        doc.formats("The bytes", MediaType::ALL.map(MediaType::as_str));
    }
}

/// What a browser calls a file that it saves (RFC 6266, section 4.3): a name of ASCII, and the very name.
fn disposition(name: &FileName) -> String {
    let plain: String = name
        .as_str()
        .chars()
        .map(|letter| if letter.is_ascii() && letter != '%' { letter } else { '_' })
        .collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", name.percent_encoded())
}

impl IntoResponse for FileAnswer {
    fn into_response(self) -> Response {
        let File { name, media_type, bytes, sha256 } = self.0.file().clone();
        let bytes = HeaderValue::from(bytes);
        let stream = try_unfold(self.0, |mut reader| async move {
            match reader.next().await {
                Ok(next) => Ok(next.map(|bytes| (bytes, reader))),
                Err(error) => {
                    // The client sees that the answer ends before its end.
                    tracing::error!("a file could not be given: {error}");
                    Err(error)
                }
            }
        });
        let mut response = Body::from_stream(stream).into_response();
        let headers: &mut HeaderMap = response.headers_mut();
        let mut set = |header: HeaderName, value: Option<HeaderValue>| {
            if let Some(value) = value {
                headers.insert(header, value);
            }
        };
        set(CONTENT_TYPE, Some(HeaderValue::from_static(media_type.as_str())));
        set(CONTENT_LENGTH, Some(bytes));
        set(CONTENT_DISPOSITION, HeaderValue::try_from(disposition(&name)).ok());
        set(ETAG, HeaderValue::try_from(format!("\"{sha256}\"")).ok());
        // To be kept by who asked, and asked about each time: who may see it can change.
        set(CACHE_CONTROL, Some(HeaderValue::from_static("private, no-cache")));
        response
    }
}

async fn download(
    api: Api,
    InPath((object, name)): InPath<(VirtualObjectId, FileName)>,
    InQuery(query): InQuery<FileQuery>,
) -> Answer<FileAnswer> {
    let version = query.version.as_deref().map(which_version).transpose()?;
    let reader = api.market().read_file(api.actor, object, version, &name).await;
    reader.map(FileAnswer).map_err(|error| api.refused(error))
}

async fn detach(
    api: Api,
    InPath((object, name)): InPath<(VirtualObjectId, FileName)>,
) -> Answer<Shown<ObjectAnswer>> {
    let command = DetachFile { object, name, expect: None };
    let view = api.execute_on::<VirtualObject, _>(object, command).await?;
    changed(&api, view).await
}

async fn purge(
    api: Api,
    InPath((object, sha256)): InPath<(VirtualObjectId, Digest)>,
) -> Answer<Shown<ObjectAnswer>> {
    let command = PurgeFile { object, sha256, expect: None };
    let view = api.execute_on::<VirtualObject, _>(object, command).await?;
    changed(&api, view).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_header_is_ascii_and_ends_where_it_should() {
        let name = "Gr\u{fc}n 50% (2);x=y.bin".parse().unwrap();
        let expected = "attachment; filename=\"Gr_n 50_ (2);x=y.bin\"; filename*=UTF-8''Gr%C3%BCn%2050%25%20%282%29%3Bx%3Dy.bin";
        assert_eq!(disposition(&name), expected);
    }
}
