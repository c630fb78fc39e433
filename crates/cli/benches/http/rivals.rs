//! What Larder is measured beside: nginx's `proxy_cache` and Varnish, each with its cache filled.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{CLUSTERS, PATIENCE, now, path_of};
use crate::server::Server;

/// nginx, as Debian sets it and with what its handbook advises for static files.
pub(crate) fn nginx(dir: &Path, origin: &Server) -> Server {
    let prefix = dir.join("nginx");
    std::fs::create_dir(&prefix).unwrap();
    let address = free_address();
    // Workers of root's would be nobody's, who may not look into a directory of root's.
    let user = if std::fs::metadata(&prefix).unwrap().uid() == 0 { "user root;" } else { "" };
    let config = format!(
        "{user} daemon off; worker_processes auto; pid nginx.pid; events {{ worker_connections 1024; }}
         http {{
           access_log off; sendfile on; tcp_nopush on; tcp_nodelay on;
           keepalive_timeout 1h; keepalive_requests 1000000000;
           open_file_cache max=1000 inactive=1h; open_file_cache_valid 1h;
           client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
           scgi_temp_path scgi; proxy_cache_path cache keys_zone=hits:1m use_temp_path=off;
           server {{
             listen {address};
             location / {{ proxy_pass http://{}; proxy_cache hits; proxy_cache_valid 200 1h; }}
           }}
         }}",
        origin.address,
    );
    std::fs::write(prefix.join("nginx.conf"), config).unwrap();
    let mut command = Command::new("nginx");
    command.args(["-e", "stderr", "-c", "nginx.conf", "-p"]).arg(&prefix);
    filled("nginx proxy_cache", command, address)
}

/// Varnish, as it comes.
pub(crate) fn varnish(dir: &Path, origin: &Server) -> Server {
    let address = free_address();
    let mut command = Command::new("varnishd");
    command.arg("-n").arg(dir.join("varnish")).args(["-F", "-s", "malloc,64m"]);
    command.args(["-a", &address, "-b", &origin.address]);
    filled("Varnish", command, address)
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Starts a server and has it fetch all that it shall serve.
fn filled(name: &'static str, mut command: Command, address: String) -> Server {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let server = Server { name, child: quiet.spawn().unwrap(), address };
    let began = now();
    while TcpStream::connect(&server.address).is_err() {
        assert!(now().saturating_sub(began) < PATIENCE, "{name} listens some time");
        std::thread::yield_now();
    }
    for (cluster, _) in CLUSTERS {
        server.get(&path_of(cluster));
    }
    server
}
