//! Methods that read what is stored, change it and write it back: one of them is done at a time, so that none overwrites what another
//! has just written.

/// Enters methods whose handlers are done one after another: `in_turn!(methods, TYPE, Method => handler; …)`.
macro_rules! in_turn {
    ($methods:expr, $($ty:expr, $method:ident => $handler:ident;)+) => {
        let one_at_a_time = std::sync::Arc::new(tokio::sync::Mutex::new(()));
        $(
            let turn = one_at_a_time.clone();
            $methods.on($ty, vim::method!($method), move |call| {
                let turn = turn.clone();
                async move {
                    let _guard = turn.lock().await;
                    $handler(&call).await
                }
            });
        )+
    };
}

pub(super) use in_turn;
