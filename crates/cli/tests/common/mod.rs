//! Runs the built command and the local stack.
#![allow(dead_code, reason = "each test file uses only a part of this module")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The result of a run of the command.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {} {}", self.out, self.err))
    }

    /// Returns standard output of a run that must have succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_metering"));
    command.args(arguments);
    // The command must not see the settings of the machine that runs the tests.
    for (name, _) in std::env::vars() {
        if name.starts_with("AWS_") || name.starts_with("METERING_") || name.starts_with("DYNAMODB")
        {
            command.env_remove(name);
        }
    }
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

pub fn metering(arguments: &[&str]) -> Ran {
    metering_with(arguments, "")
}

/// Runs the command with `input` on its standard input.
pub fn metering_with(arguments: &[&str], input: &str) -> Ran {
    run(command(arguments), input)
}

/// Runs the command with more environment variables.
pub fn metering_in(environment: &[(&str, &str)], arguments: &[&str], input: &str) -> Ran {
    let mut command = command(arguments);
    command.envs(environment.iter().copied());
    run(command, input)
}

fn run(mut command: Command, input: &str) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input may have ended already.
    let written = child.stdin.take().unwrap().write_all(input.as_bytes());
    drop(written);
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A running `metering local` on free ports.
pub struct Local {
    child: Child,
    pub http: SocketAddr,
    pub aws: SocketAddr,
    pub dynamodb: SocketAddr,
}

impl Local {
    pub fn start(arguments: &[&str]) -> Self {
        let any = "127.0.0.1:0";
        let mut all = vec!["local", "--http", any, "--aws", any, "--dynamodb", any];
        all.extend(arguments);
        let mut child = command(&all).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = |name: &str| -> SocketAddr {
            let line = lines
                .find_map(|line| line.ok().filter(|line| line.trim_start().starts_with(name)))
                .unwrap_or_else(|| panic!("the stack prints no address of {name}"));
            let (_, url) = line.split_once("http://").unwrap();
            let end = url.find(['/', ' ']).unwrap_or(url.len());
            url[..end].parse().unwrap()
        };
        let (http, aws) = (address("register"), address("AWS Marketplace"));
        let dynamodb = address("DynamoDB");
        // Reads the rest of the output, so that the stack can always write.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            http,
            aws,
            dynamodb,
        }
    }

    /// Asks the stack to stop, as `kill` and containers do.
    pub fn stop(mut self) -> i32 {
        let killed = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(killed.success());
        self.child.wait().unwrap().code().unwrap_or(-1)
    }

    /// Calls the emulator's control interface and returns the body of a successful answer.
    pub fn control(&self, method: &str, path: &str, body: &str) -> serde_json::Value {
        let (status, body) = http(self.aws, method, &format!("/_emulator/{path}"), body);
        assert!((200..300).contains(&status), "{status} {body}");
        serde_json::from_str(&body).unwrap_or_default()
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // The stack may have stopped already.
        let killed = self.child.kill().and_then(|()| self.child.wait());
        drop(killed);
    }
}

/// Makes one HTTP call.
pub fn http(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let form = path.starts_with("/register");
    let kind = if form {
        "application/x-www-form-urlencoded"
    } else {
        "application/json"
    };
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}
