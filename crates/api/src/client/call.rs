//! Connecting, logging in, calling methods and reading single properties.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{Method, StatusCode};
use vim::{
    API_RELEASE, Args, ManagedId, MoRef, Object, Record, Value, arg, call, field, json, managed_id, schema,
};

use super::wire::{Ask, Wire, shown};
use super::{Address, CallError, Client, Inner, Options};
use crate::Acting;
use crate::files::escape;
use crate::server::SESSION_HEADER;

impl Client {
    /// Connects to a server (`host`, `host:port` or a URL) and agrees on a release.
    ///
    /// # Errors
    /// [`CallError::Unreachable`], [`CallError::Tls`], [`CallError::Usage`]; [`CallError::Http`] or
    /// [`CallError::Answer`] if the server does not speak VI-JSON.
    pub async fn connect(address: &str, options: Options) -> Result<Self, CallError> {
        let wire = Wire::new(Address::parse(address)?, options)?;
        let releases: Vec<&str> = schema().releases.iter().rev().copied().collect();
        let newest = releases.iter().position(|release| *release == API_RELEASE).unwrap_or(0);
        let hello = serde_json::json!({ "api_releases": releases[newest..] });
        let answer = wire
            .ask(&Ask {
                method: Method::POST,
                path: "/api/vcenter/system?action=hello".into(),
                body: Bytes::from(hello.to_string()),
                session: None,
                timeout: wire.timeouts.call,
                idempotent: true,
                acting: None,
            })
            .await?;
        if answer.status() != StatusCode::OK {
            return Err(http_error(&wire, &answer));
        }
        let unreadable = |reason: &str| CallError::Answer { peer: wire.peer(), reason: reason.into() };
        let answer: serde_json::Value =
            serde_json::from_slice(answer.body()).map_err(|_| unreadable("it does not speak VI-JSON"))?;
        let release = match answer["api_release"].as_str() {
            Some(release) if !release.is_empty() => release.to_owned(),
            _ => return Err(unreadable("it speaks only releases of VI-JSON that are unknown here")),
        };
        let inner = Inner { wire, release, session: ArcSwapOption::empty(), content: OnceLock::new() };
        Ok(Self(Arc::new(inner)))
    }

    /// The server's address.
    pub fn address(&self) -> &Address {
        &self.0.wire.address
    }

    /// The key of the session, after a login.
    pub fn session_key(&self) -> Option<Arc<String>> {
        self.0.session.load_full()
    }

    /// Continues a session that was begun earlier (a command line keeps its key).
    pub fn resume(&self, session_key: &str) {
        self.0.session.store(Some(Arc::new(session_key.to_owned())));
    }

    /// The server's `ServiceContent`; the client asks for it once.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn service_content(&self) -> Result<Arc<Object>, CallError> {
        if let Some(content) = self.0.content.get() {
            return Ok(content.clone());
        }
        let instance = MoRef::new(managed_id!(ServiceInstance), "ServiceInstance");
        let content = self.invoke(&instance, &call!(RetrieveServiceContent {})).await?;
        let content = content.as_ref().and_then(Value::as_object).cloned();
        let content = content.ok_or_else(|| self.unreadable("no ServiceContent"))?;
        Ok(self.0.content.get_or_init(|| content).clone())
    }

    /// Begins a session and returns the `UserSession`.
    ///
    /// # Errors
    /// `InvalidLogin` as [`CallError::Fault`], or another [`CallError`].
    pub async fn login(&self, user: &str, password: &str) -> Result<Arc<Object>, CallError> {
        let login = call!(Login { userName: user, password: password });
        self.begin(&login).await
    }

    /// Begins a session with the client certificate of [`Options`].
    ///
    /// # Errors
    /// `InvalidLogin` or `NoClientCertificate` as [`CallError::Fault`], or another [`CallError`].
    pub async fn login_by_certificate(&self, extension_key: &str) -> Result<Arc<Object>, CallError> {
        self.begin(&call!(LoginExtensionByCertificate { extensionKey: extension_key })).await
    }

    async fn begin(&self, login: &Args) -> Result<Arc<Object>, CallError> {
        let manager = self.session_manager().await?;
        let session = self.invoke(&manager, login).await?;
        if self.0.session.load().is_none() {
            return Err(self.unreadable("a login without a session"));
        }
        session.as_ref().and_then(Value::as_object).cloned().ok_or_else(|| self.unreadable("no UserSession"))
    }

    /// Ends the session.
    ///
    /// # Errors
    /// [`CallError`]; the client forgets the session in any case.
    pub async fn logout(&self) -> Result<(), CallError> {
        let manager = self.session_manager().await?;
        let result = self.invoke(&manager, &call!(Logout {})).await;
        self.0.session.store(None);
        result.map(drop)
    }

    async fn session_manager(&self) -> Result<MoRef, CallError> {
        let content = self.service_content().await?;
        let manager = content.get(field!(ServiceContent.sessionManager)).cloned();
        manager.ok_or_else(|| self.unreadable("a server without a SessionManager"))
    }

    /// Calls a method. The call is sent once; [`CallError::Unreachable`] says whether the server may have received it. Methods that wait
    /// for changes may take as long as they were asked to wait and a little more, which may be without end.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn invoke(&self, this: &MoRef, args: &Args) -> Result<Option<Value>, CallError> {
        self.send(this, args, self.time_for(args), None).await
    }

    /// [`Client::invoke`] with a limit for the time of the answer.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn invoke_within(
        &self,
        this: &MoRef,
        args: &Args,
        timeout: Duration,
    ) -> Result<Option<Value>, CallError> {
        self.send(this, args, timeout, None).await
    }

    /// [`Client::invoke`] by a center, on behalf of one of its users.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn invoke_for(
        &self,
        acting: &Acting,
        this: &MoRef,
        args: &Args,
    ) -> Result<Option<Value>, CallError> {
        self.send(this, args, self.time_for(args), Some(acting)).await
    }

    async fn send(
        &self,
        this: &MoRef,
        args: &Args,
        timeout: Duration,
        acting: Option<&Acting>,
    ) -> Result<Option<Value>, CallError> {
        let acting = acting.map(Acting::to_header);
        let method = schema().method(args.method);
        let mut body = Vec::new();
        json::write_args(&mut body, args, self.release());
        let ask = Ask { acting, ..self.about(Method::POST, this, method.name, Bytes::from(body), timeout) };
        let answer = self.ask(&ask).await?;
        if let Some(session) = answer.headers().get(SESSION_HEADER).and_then(|value| value.to_str().ok()) {
            self.resume(session);
        }
        match (&method.returns, answer.status()) {
            (Some(member), StatusCode::OK) => json::read_value(member.kind, member.list, answer.body())
                .map(Some)
                .map_err(|e| self.unreadable(&e.to_string())),
            _ => Ok(None),
        }
    }

    /// Reads one property of an object by its name; for paths see [`Client::retrieve`].
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn property(&self, this: &MoRef, name: &str) -> Result<Option<Value>, CallError> {
        let ty = schema().managed(this.ty());
        let number =
            ty.member(name).ok_or_else(|| CallError::Usage(format!("{} has no property {name}", ty.name)))?;
        let member = &ty.properties[usize::from(number)];
        let timeout = self.0.wire.timeouts.call;
        let answer = self.ask(&self.about(Method::GET, this, name, Bytes::new(), timeout)).await?;
        match answer.status() {
            StatusCode::OK => json::read_value(member.kind, member.list, answer.body())
                .map(Some)
                .map_err(|e| self.unreadable(&e.to_string())),
            _ => Ok(None),
        }
    }

    /// A request to an object's method or property.
    fn about(&self, method: Method, this: &MoRef, member: &str, body: Bytes, timeout: Duration) -> Ask {
        let path =
            format!("/sdk/vim25/{}/{}/{}/{member}", self.0.release, this.type_name(), escape(this.id()));
        let session = self.0.session.load_full();
        let idempotent = method == Method::GET;
        Ask { method, path, body, session, timeout, idempotent, acting: None }
    }

    pub(super) async fn ask(&self, ask: &Ask) -> Result<http::Response<Bytes>, CallError> {
        let answer = self.0.wire.ask(ask).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        match json::read_fault(answer.body()) {
            Ok(fault) => Err(CallError::Fault(fault)),
            Err(_) => Err(http_error(&self.0.wire, &answer)),
        }
    }

    pub(super) fn release(&self) -> vim::Release {
        schema().release(&self.0.release).unwrap_or_else(vim::api_release)
    }

    pub(super) fn unreadable(&self, reason: &str) -> CallError {
        CallError::Answer { peer: self.0.wire.peer(), reason: reason.into() }
    }

    fn time_for(&self, args: &Args) -> Duration {
        /// For calls that wait without end.
        const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
        let timeouts = &self.0.wire.timeouts;
        match args.method_name() {
            "WaitForUpdates" => FOREVER,
            "WaitForUpdatesEx" => {
                let options = args.get(arg!(WaitForUpdatesEx.options));
                match options.and_then(|options| options.get(field!(WaitOptions.maxWaitSeconds))) {
                    Some(seconds) => {
                        Duration::from_secs(u64::try_from(seconds).unwrap_or(0)) + timeouts.wait_grace
                    }
                    None => FOREVER,
                }
            }
            _ => timeouts.call,
        }
    }
}

pub(super) fn http_error(wire: &Wire, answer: &http::Response<Bytes>) -> CallError {
    CallError::Http { peer: wire.peer(), status: answer.status().as_u16(), message: shown(answer.body()) }
}

/// The managed type's id as `PropertySpec.type` names it.
pub(super) fn type_name(ty: ManagedId) -> &'static str {
    schema().managed(ty).name
}
