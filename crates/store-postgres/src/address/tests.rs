//! What is taken for the address of a database, and what is refused.

use super::*;

fn parse(url: &str) -> Address {
    Address::parse(&SecretString::from(url)).unwrap()
}

fn refused(url: &str) -> String {
    Address::parse(&SecretString::from(url)).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn many_ways_to_write_an_address_mean_the_same() {
    for url in [
        "postgres://me:secret@db.example:5433/cache",
        "postgresql://me:secret@db.example:5433/cache?schema=public&connection_limit=5",
        "postgresql+asyncpg://me:secret@db.example:5433/cache",
        " postgres://me:secret@db.example:5433/cache?gssencmode=disable ",
    ] {
        let address = parse(url);
        assert_eq!(address.place, "postgres://db.example:5433/cache", "{url}");
        assert_eq!(address.config.get_user(), Some("me"));
        assert_eq!(address.config.get_password(), Some(&b"secret"[..]));
        assert_eq!(address.config.get_application_name(), Some("larder"));
    }
    assert!(is_postgres("postgres://h/d") && is_postgres("postgresql+psycopg2://h/d"));
    assert!(
        !is_postgres("sqlite:///x") && !is_postgres("/var/lib/postgres") && !is_postgres("postgresx://h")
    );
}

#[test]
fn a_password_never_gets_into_the_name_of_a_place() {
    for url in [
        "postgres://me:pa@ss@host/db",
        "postgres://me:pa/ss@host/db",
        "postgres://me:pa%40ss@host/db",
        "postgres://me:pass@host/db?options=a%40b",
    ] {
        let address = parse(url);
        assert_eq!(address.place, "postgres://host:5432/db", "{url}");
    }
    assert_eq!(parse("postgres://me:pa@ss@host/db").config.get_password(), Some(&b"pa@ss"[..]));
    assert_eq!(parse("postgres://me:pa/ss@host/db").config.get_password(), Some(&b"pa/ss"[..]));
    assert_eq!(parse("postgres:///db?host=/run/postgresql").place, "postgres:///run/postgresql/db");
    assert_eq!(parse("postgres://a:1,b:2/db").place, "postgres://a:1,b:2/db");
    for url in ["postgres://me:secret@host:secret/db", "mysql://me:secret@host/db", "secret"] {
        assert!(!refused(url).contains("secret"), "{url}: {}", refused(url));
    }
}

#[test]
fn what_stands_behind_the_question_mark_is_nobodys_password() {
    for (url, user) in [
        ("postgres://host/db?application_name=me@work", None),
        ("postgres://host:5432/db?application_name=me@work", None),
        ("postgres://me:pass@host/db?application_name=me@work", Some("me")),
    ] {
        let address = parse(url);
        assert_eq!(address.place, "postgres://host:5432/db", "{url}");
        assert_eq!(
            (address.config.get_user(), address.config.get_application_name()),
            (user, Some("me@work"))
        );
    }
}

#[test]
fn a_silent_connection_is_asked_for_a_sign_of_life_as_often_as_the_address_says() {
    let often = |url: &str| {
        let config = parse(url).config;
        let (idle, interval) = (config.get_keepalives_idle(), config.get_keepalives_interval());
        let seconds = (idle.as_secs(), interval.map(|interval| interval.as_secs()));
        (config.get_keepalives(), seconds, config.get_keepalives_retries())
    };
    assert_eq!(often("postgres://h/d"), (true, (15, Some(5)), Some(3)));
    assert_eq!(often("postgres://h/d?keepalives_idle=60"), (true, (60, Some(5)), Some(3)));
    let all = "postgres://h/d?keepalives_idle=7200&keepalives_interval=9&keepalives_retries=1";
    assert_eq!(often(all), (true, (7200, Some(9)), Some(1)));
    assert!(!often("postgres://h/d?keepalives=0").0);
}

#[test]
fn an_address_says_how_long_it_is_waited_for_unless_that_is_set_apart_from_it() {
    let set = Some(Duration::from_secs(2));
    let own = parse("postgres://h/d?connect_timeout=9&tcp_user_timeout=1500");
    assert_eq!(own.config.get_tcp_user_timeout(), Some(&Duration::from_millis(1500)));
    assert_eq!((own.patience(None), own.patience(set)), (Duration::from_secs(9), Duration::from_secs(2)));
    let none = parse("postgres://h/d?connect_timeout=0&tcp_user_timeout=0");
    assert_eq!(none.config.get_tcp_user_timeout(), None);
    assert_eq!((none.patience(None), none.patience(set)), (PATIENCE, Duration::from_secs(2)));
    assert!(refused("postgres://h/d?tcp_user_timeout=1s").contains("no number of milliseconds"));
}

#[test]
fn sslmode_says_what_is_checked() {
    let mode = |query: &str| {
        let address = parse(&format!("postgres://h/d?{query}"));
        (address.config.get_ssl_mode(), address.security)
    };
    let file = || Roots::File(PathBuf::from("/ca file.pem"));
    assert_eq!(mode(""), (SslMode::Prefer, Security::Unchecked));
    assert_eq!(mode("sslmode=disable"), (SslMode::Disable, Security::Unchecked));
    assert_eq!(mode("sslmode=require"), (SslMode::Require, Security::Unchecked));
    assert_eq!(mode("sslmode=verify-full"), (SslMode::Require, Security::Named(Roots::System)));
    assert_eq!(
        mode("sslmode=verify-full&sslrootcert=%2Fca%20file.pem"),
        (SslMode::Require, Security::Named(file()))
    );
    assert_eq!(mode("sslrootcert=/ca%20file.pem"), (SslMode::Require, Security::Named(file())));
    assert_eq!(
        mode("sslmode=require&sslrootcert=/ca%20file.pem"),
        (SslMode::Require, Security::Signed(file()))
    );
    assert!(refused("postgres://h/d?sslmode=yes").contains("its sslmode is none of"));
    assert!(refused("postgres://me:pa?ss=wo@h/d").contains("a parameter that is not known"));
    assert!(refused("postgres://h/d?sslkey=k").contains("`sslkey`"));
    assert!(parse("postgres://h/d?pgbouncer=true").is_pooler);
}
