//! Requests that have begun when the server stops.

use crate::raw::Raw;
use crate::world::World;

const ALIVE: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

const BATCH: &str = "POST /api/v1/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 26\r\n\r\n{\"keys\":[\"cluster/tools\"]}";

#[tokio::test]
async fn who_has_begun_a_request_is_answered_while_the_server_stops() {
    let world = World::new().await;
    let served = world.serve().await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut begun = Vec::new();
    for (request, status) in [
        (get("/api/v1/clusters/tools"), "200"),
        (get("/healthz"), "200"),
        (get("/"), "200"),
        (get("/readyz"), "503"),
        (get("/healthz").replace("GET", "HEAD"), "200"),
        (BATCH.to_owned(), "200"),
    ] {
        let (half, rest) = request.split_at(22);
        let mut raw = Raw::connect(served.running.address()).await;
        // What stands behind a request that was answered has come.
        raw.write(format!("{ALIVE}{half}").as_bytes()).await;
        assert_eq!(raw.answer(false).await.unwrap().status(), "200");
        begun.push((raw, request.clone(), rest.to_owned(), status));
    }
    // A body ends what is plain: what comes behind it is hyper's.
    let mut raw = Raw::connect(served.running.address()).await;
    raw.write(BATCH.as_bytes()).await;
    assert_eq!(raw.answer(false).await.unwrap().status(), "200");
    raw.write(&ALIVE.as_bytes()[..20]).await;
    begun.push((raw, ALIVE.to_owned(), ALIVE[20..].to_owned(), "200"));

    let mut stream = served.events().await;
    let stop = tokio::spawn(served.running.stop());
    while stream.raw().await.is_some() {}
    let last = begun.len() - 1;
    for (nr, (mut raw, request, rest, status)) in begun.into_iter().enumerate() {
        raw.write(rest.as_bytes()).await;
        let answer = raw.answer(request.starts_with("HEAD")).await;
        let answer = answer.unwrap_or_else(|| panic!("{nr}, not answered: {request}"));
        assert_eq!(answer.status(), status, "{request}");
        // hyper, which was not told before it began, just closes.
        assert!(nr == last || answer.head.contains("\r\nconnection: close\r\n"), "{request}: {answer:?}");
        assert_eq!(raw.end().await, b"", "{request}");
    }
    stop.await.unwrap();
}
