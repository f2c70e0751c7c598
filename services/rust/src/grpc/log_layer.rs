//! The logging interceptor: a layer around all services, which sees each call's method, status and time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::log;

/// Wraps services.
#[derive(Clone, Debug)]
pub struct LogLayer;

/// A service that is logged.
#[derive(Clone, Debug)]
pub struct Logged<S>(S);

impl<S> Layer<S> for LogLayer {
    type Service = Logged<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Logged(inner)
    }
}

impl<S> Service<Request<Body>> for Logged<S>
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
            let response = answer.await?;
            if !log::calls_are_logged() {
                return Ok(response);
            }
            // A call that fails at once says so in the headers, any other at the end.
            if let Some(code) = code(response.headers()) {
                log::call("grpc", &method, &code, started.elapsed());
                return Ok(response);
            }
            Ok(response.map(|body| {
                Body::new(body.map_frame(move |frame| {
                    if let Some(code) = frame.trailers_ref().and_then(code) {
                        log::call("grpc", &method, &code, started.elapsed());
                    }
                    frame
                }))
            }))
        })
    }
}

fn code(headers: &HeaderMap) -> Option<String> {
    let status = tonic::Status::from_header_map(headers)?;
    let code = crate::status::Code::try_from(status.code() as i32);
    Some(code.map_or_else(|_| format!("{:?}", status.code()), |code| code.as_str_name().to_owned()))
}
