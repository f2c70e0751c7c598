//! The interceptor: a layer around all services. It logs each call's method, status and time, and puts what tonic refuses
//! by itself into the words of our table of errors.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::log;
use crate::status::{Code, Status};

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

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let started = Instant::now();
        let method = request.uri().path().to_owned();
        let answer = self.0.call(request);
        Box::pin(async move {
            let mut response = answer.await?;
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
        // The runtime's limits on messages, and on time.
        tonic::Code::OutOfRange => Status::new(Code::ResourceExhausted, message),
        tonic::Code::Cancelled if message == "Timeout expired" => Status::deadline(),
        // What cannot be decoded.
        tonic::Code::Internal if message.contains("decode") => Status::invalid(message),
        _ => status.into(),
    }
}
