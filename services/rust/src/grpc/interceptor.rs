//! The interceptor: a layer around all services. It logs each call's method, status and time, and puts what tonic refuses
//! by itself into the words of our table of errors.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::deadline::Deadline;
use crate::log;
use crate::status::{Code, Status};

/// How long before the runtime a call is ended.
const MARGIN: Duration = Duration::from_millis(2);

/// Wraps services.
#[derive(Clone, Debug)]
pub struct Interceptor;

/// A service with the interceptor before it.
#[derive(Clone, Debug)]
pub struct Intercepted<S>(S);

impl<S> Layer<S> for Interceptor {
    type Service = Intercepted<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Intercepted(inner)
    }
}

impl<S> Service<Request<Body>> for Intercepted<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let started = Instant::now();
        let method = request.uri().path().to_owned();
        let deadline = Deadline::after(timeout(request.headers()));
        request.extensions_mut().insert(deadline);
        let answer = self.0.call(request);
        Box::pin(async move {
            let in_time = deadline.limit(async { Ok(answer.await) }).await;
            let mut response =
                in_time.unwrap_or_else(|status| Ok(tonic::Status::from(status).into_http()))?;
            // A call that fails at once says so in the headers, any other at the end.
            if conclude(response.headers_mut(), &method, started) {
                return Ok(response);
            }
            Ok(response.map(|body| {
                Body::new(body.map_frame(move |mut frame| {
                    if let Some(trailers) = frame.trailers_mut() {
                        conclude(trailers, &method, started);
                    }
                    frame
                }))
            }))
        })
    }
}

/// The time that a client gives its call: a number and a unit. A little less, since the runtime keeps an eye on it, too,
/// and would say CANCELLED.
fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok()?;
    let time = match unit {
        "H" => Duration::from_secs(number.checked_mul(3600)?),
        "M" => Duration::from_secs(number.checked_mul(60)?),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    };
    Some(time.saturating_sub(MARGIN.min(time / 10)))
}

/// Logs the status, and puts it into our words. Returns whether there is one.
fn conclude(headers: &mut HeaderMap, method: &str, started: Instant) -> bool {
    let Some(theirs) = tonic::Status::from_header_map(headers) else { return false };
    if theirs.code() == tonic::Code::Ok {
        log::call("grpc", method, "OK", started.elapsed());
        return true;
    }
    let status = in_our_words(theirs, method);
    log::call("grpc", method, status.code.as_str_name(), started.elapsed());
    // A message that cannot be a header is left as it was.
    let _ = tonic::Status::from(status).add_header(headers);
    true
}

/// What the runtime says, as we would have said it.
pub fn in_our_words(status: tonic::Status, method: &str) -> Status {
    let message = status.message();
    match status.code() {
        tonic::Code::Unimplemented if message.is_empty() => Status::no_method(method),
        // The runtime's limits on messages.
        tonic::Code::OutOfRange => Status::new(Code::ResourceExhausted, message),
        // What cannot be decoded.
        tonic::Code::Internal if message.contains("decode") => Status::invalid(message),
        _ => status.into(),
    }
}
