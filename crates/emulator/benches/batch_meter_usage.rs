//! Measures how many `BatchMeterUsage` calls of 25 records the program answers in a second over
//! loopback, and how much memory a million slots take.
//!
//! `cargo bench -p emulator --profile tool` runs it. `-- 100000` at the end makes a smaller run
//! with that many slots.
//!
//! The goals are 4,000 calls a second on two cores, one for the program and one for the client, and
//! 500 MB.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use bytes::Bytes;
use emulator::{Agreement, Emulator, Identity, NewAgreement, NewProduct, Options};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::net::TcpStream;

const SLOTS: usize = 1_000_000;
const RECORDS_PER_CALL: usize = 25;
const HOURS: usize = 24;
const CONNECTIONS: usize = 8;
const DIMENSIONS: [&str; 2] = ["requests", "gigabytes"];
const NOON: &str = "2026-11-21T12:00:00Z";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let slots = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .next()
        .unwrap_or(SLOTS);
    let licenses = slots / (HOURS * DIMENSIONS.len());
    let (world, agreements) = world(licenses)?;
    let file = std::env::temp_dir().join(format!("emulator-bench-{}.json", std::process::id()));
    std::fs::write(&file, world)?;
    let (mut program, address) = start(&file)?;
    let bodies = bodies(&agreements)?;
    let calls = bodies.len();
    let empty_kb = memory_kb(&program)?;
    let cpu_before_s = cpu_seconds(&program)?;

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let started = Instant::now();
    let billed = runtime.block_on(send_all(address, bodies))?;
    let elapsed = started.elapsed();
    let full_kb = memory_kb(&program)?;
    let cpu_s = cpu_seconds(&program)? - cpu_before_s;

    println!("calls answered        {calls}");
    println!("records per call      {RECORDS_PER_CALL}");
    println!("slots taken           {billed}");
    println!(
        "calls per second      {:.0}",
        calls as f64 / elapsed.as_secs_f64()
    );
    println!(
        "calls per CPU second  {:.0} (the program's own)",
        calls as f64 / cpu_s
    );
    println!("memory, {licenses} licenses  {} MB", empty_kb / 1_000);
    println!("memory, all slots     {} MB", full_kb / 1_000);
    program.kill()?;
    program.wait()?;
    std::fs::remove_file(&file)?;
    Ok(())
}

/// Makes a world with that many licenses of one product, at noon on a frozen clock. Returns it as
/// JSON, with its agreements.
fn world(licenses: usize) -> Result<(String, Vec<Agreement>), Box<dyn std::error::Error>> {
    let emulator = Emulator::new(Options {
        now: Some(NOON.parse()?),
        speed: 0.0,
        ..Options::default()
    });
    emulator.add_product(NewProduct::new("p1", &DIMENSIONS, Identity::License))?;
    let mut agreements = Vec::with_capacity(licenses);
    for _ in 0..licenses {
        agreements.push(emulator.add_agreement(NewAgreement {
            start: Some("2026-11-01T00:00:00Z".parse()?),
            ..NewAgreement::of("p1")
        })?);
    }
    emulator.take_lifecycle();
    Ok((emulator.save()?, agreements))
}

fn start(file: &std::path::Path) -> Result<(Child, SocketAddr), Box<dyn std::error::Error>> {
    let mut program = Command::new(env!("CARGO_BIN_EXE_emulator"))
        .args(["--listen", "127.0.0.1:0", "--seed"])
        .arg(file)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    let output = program.stdout.take().ok_or("the program has no output")?;
    BufReader::new(output).read_line(&mut line)?;
    let address = line
        .split("http://")
        .nth(1)
        .and_then(|rest| rest.split(',').next())
        .ok_or("the program did not say where it listens")?;
    Ok((program, address.parse()?))
}

/// The bodies of calls with 25 records each. Every hour of the window, dimension and license has
/// one record.
fn bodies(agreements: &[Agreement]) -> Result<Vec<Bytes>, Box<dyn std::error::Error>> {
    let noon: Timestamp = NOON.parse()?;
    let mut records = Vec::with_capacity(RECORDS_PER_CALL);
    let mut bodies = Vec::new();
    for hour in 0..HOURS {
        let stamp = noon.as_second() - 3_600 * i64::try_from(hour)?;
        for agreement in agreements {
            for dimension in DIMENSIONS {
                records.push(format!(
                    r#"{{"Timestamp":{stamp},"Dimension":"{dimension}","CustomerAWSAccountId":"{}","LicenseArn":"{}","QuantityAsDecimal":"{hour}.5"}}"#,
                    agreement.account_id, agreement.license_arn
                ));
                if records.len() == RECORDS_PER_CALL {
                    let body = format!(r#"{{"UsageRecords":[{}]}}"#, records.join(","));
                    bodies.push(Bytes::from(body));
                    records.clear();
                }
            }
        }
    }
    Ok(bodies)
}

/// Sends all bodies over a few connections. Returns the number of records with the status
/// `Success`.
async fn send_all(address: SocketAddr, bodies: Vec<Bytes>) -> Result<usize, hyper::Error> {
    let mut shares: Vec<Vec<Bytes>> = vec![Vec::new(); CONNECTIONS];
    for (place, body) in bodies.into_iter().enumerate() {
        if let Some(share) = shares.get_mut(place % CONNECTIONS) {
            share.push(body);
        }
    }
    let mut sending = tokio::task::JoinSet::new();
    for share in shares {
        sending.spawn(send(address, share));
    }
    let mut billed = 0;
    for sent in sending.join_all().await {
        billed += sent?;
    }
    Ok(billed)
}

async fn send(address: SocketAddr, bodies: Vec<Bytes>) -> Result<usize, hyper::Error> {
    let stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("no delay");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut billed = 0;
    for body in bodies {
        sender.ready().await?;
        let request = http::Request::post("/")
            .header("host", "localhost")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", "AWSMPMeteringService.BatchMeterUsage")
            .header("authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/us-east-1/aws-marketplace/aws4_request, SignedHeaders=host, Signature=00")
            .body(Full::new(body))
            .expect("a request");
        let answer = sender.send_request(request).await?;
        let body = answer.into_body().collect().await?.to_bytes();
        billed += count(&body, b"\"Status\":\"Success\"");
    }
    Ok(billed)
}

fn count(text: &[u8], part: &[u8]) -> usize {
    text.windows(part.len()).filter(|w| *w == part).count()
}

/// The program's CPU time in seconds. Other load on the machine does not change it. Linux reports
/// it in hundredths of a second.
fn cpu_seconds(program: &Child) -> Result<f64, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", program.id()))?;
    let (_, after_name) = stat.rsplit_once(')').ok_or("no name")?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |place: usize| -> Result<f64, Box<dyn std::error::Error>> {
        Ok(fields.get(place).ok_or("too few fields")?.parse()?)
    };
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

/// The program's resident memory in kilobytes, as Linux reports it.
fn memory_kb(program: &Child) -> Result<u64, Box<dyn std::error::Error>> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.id()))?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .ok_or("no VmRSS")?;
    let number = line.split_whitespace().nth(1).ok_or("no number")?;
    Ok(number.parse()?)
}
