//! Outcomes that cannot be written, answers that are not clear, calls that were not sent, and
//! refusals that say nothing about a record. No record is lost, billed twice or given up because of
//! them.
//!
//! The tests run the real submitter and sealer on the simulation's wire.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_sdk_marketplacemetering::config::retry::RetryConfig;
use aws_sdk_marketplacemetering::config::timeout::TimeoutConfig;
use aws_sdk_marketplacemetering::config::{BehaviorVersion, Credentials, Region};
use emulator::{Agreement, Call, Fault, FaultKind, Faults, LifecycleMessage};
use jiff::{SignedDuration, Timestamp};
use ledger::sender::Turn;
use ledger::{Ledger, Written};
use local::stack::function_event;
use marketplace::error_table::{NOT_CONNECTED, look_up};
use marketplace::record::{Allocation, Transmissions};
use marketplace::slot::Slot;
use marketplace::usage::UsageEvent;
use marketplace::{IdentityKind, MeteringRecord, State, Subscription, TagSet, Tags, UsageHour};
use metering_api::MeteringApi;
use simulation::at;
use simulation::clients;
use simulation::run::{Executor, on_a_thread};
use simulation::wire::Fate;
use simulation::world::{Listing, World};
use submitter::pace::Pace;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

const START: &str = "2026-11-21T00:20:00Z";
const FIRST_HOUR: &str = "2026-11-21T01";
/// The records in a full request.
const FULL: usize = 25;

fn run<Story>(story: impl FnOnce() -> Story + Send)
where
    Story: Future<Output = ()> + 'static,
{
    on_a_thread(|| Executor::default().finish(story()));
}

/// One buyer with sealed records that are due.
struct Due {
    world: World,
    keys: Vec<Slot>,
}

impl Due {
    /// Seals a record of 1.5 units for each of `hours` hours and each of `dimensions` dimensions.
    async fn records(hours: i64, dimensions: usize) -> Self {
        Self::split(hours, dimensions, &[]).await
    }

    /// Seals such records with these allocations. The quantity of each is the number of its
    /// allocations.
    async fn split(hours: i64, dimensions: usize, allocations: &[Allocation]) -> Self {
        let world = World::at(at(START), 7);
        world.wire.trace_nothing();
        let listing = Listing {
            code: "aproduct".to_owned(),
            identity: IdentityKind::Customer,
            dimensions: (0..dimensions).map(|n| format!("d{n}")).collect(),
        };
        world.list(&listing).await;
        let buyer = world.subscribe(&listing).1;
        let first: UsageHour = FIRST_HOUR.parse().unwrap();
        let last = first.plus(hours - 1);
        let sealed_at = last.end() + SignedDuration::from_mins(30);
        world.set_time(sealed_at);
        let quantity = match allocations.len() {
            0 => "1.5".to_owned(),
            count => count.to_string(),
        };
        let mut keys = Vec::new();
        for hour in first.through(last) {
            for dimension in &listing.dimensions {
                let slot = Slot {
                    subscription: buyer.clone(),
                    hour,
                    dimension: dimension.parse().unwrap(),
                };
                let record = MeteringRecord {
                    due: Some(sealed_at),
                    allocations: allocations.to_vec(),
                    ..MeteringRecord::new(
                        slot.clone(),
                        listing.code.parse().unwrap(),
                        quantity.parse().unwrap(),
                        hour.plus(24).start(),
                        sealed_at,
                    )
                };
                let written = world.ledger.create_record(&record).await.unwrap();
                assert_eq!(written, Written::Done);
                keys.push(slot);
            }
        }
        Self { world, keys }
    }

    fn next_call_has(&self, kind: FaultKind) {
        let all = u32::try_from(FULL).unwrap();
        self.world.emulator.set_faults(Faults {
            seed: 7,
            faults: vec![Fault::next("BatchMeterUsage", kind, 1).records(all)],
        });
    }

    /// Makes a sweep in which no update of an item succeeds after the calls that `fails` names. A
    /// call is named by its number, from 1. The sweep itself must fail because of that.
    async fn sweep_failing(&self, mut fails: impl FnMut(usize) -> bool + Send + 'static) {
        let mut calls = 0;
        self.world.wire.follow(Box::new(move |call| {
            calls += usize::from(call.operation == "BatchMeterUsage");
            match call.operation == "UpdateItem" && fails(calls) {
                true => Fate::Failed,
                false => Fate::Answered,
            }
        }));
        let error = self.world.sweep().await.unwrap_err();
        self.world.wire.heal();
        assert!(error.contains("UpdateItem"), "{error}");
    }

    /// Makes the next sweep, five minutes later. Nothing fails in it.
    async fn sweep_later(&self) {
        let later = self.world.now.get() + SignedDuration::from_mins(5);
        self.world.set_time(later);
        self.world.sweep().await.unwrap();
    }

    async fn stored(&self) -> Vec<MeteringRecord> {
        let stored = self.world.ledger.records(&self.keys).await.unwrap();
        assert_eq!(stored.len(), self.keys.len());
        stored
    }

    /// The numbers of records that were sent, counted once for each call, of records that AWS
    /// Marketplace billed, and of records that are accepted in the ledger.
    async fn counts(&self) -> [usize; 3] {
        let calls = self.world.emulator.calls();
        let stored = self.stored().await;
        let accepted = stored.iter().filter(|one| one.state == State::Accepted);
        [
            calls.iter().map(|call| call.records.len()).sum(),
            self.world.emulator.metered().len(),
            accepted.count(),
        ]
    }
}

/// The number of calls that sent a record.
fn sent(record: &MeteringRecord, calls: &[Call]) -> usize {
    let has_record = |call: &&Call| {
        let mut records = call.records.iter();
        records.any(|one| {
            one.dimension == record.slot.dimension.as_str() && one.timestamp == record.stamp
        })
    };
    calls.iter().filter(has_record).count()
}

#[test]
fn a_sweep_goes_on_after_one_outcome_that_cannot_be_written() {
    run(|| async {
        let due = Due::records(8, FULL).await;
        let mut has_failed = false;
        due.sweep_failing(move |_| !std::mem::replace(&mut has_failed, true))
            .await;
        assert_eq!(due.counts().await, [200, 200, 199]);
        // The success that could not be written is found by sending its record again.
        due.sweep_later().await;
        assert_eq!(due.counts().await, [201, 200, 200]);
    });
}

/// If nothing can be written, more calls would only make more answers that are not stored.
#[test]
fn a_sweep_ends_when_outcomes_could_not_be_written_five_times_in_a_row() {
    run(|| async {
        let due = Due::records(8, FULL).await;
        due.sweep_failing(|call| call > 0).await;
        assert_eq!(due.counts().await, [125, 125, 0]);
        due.sweep_later().await;
        assert_eq!(due.counts().await, [325, 200, 200]);
    });
}

#[test]
fn outcomes_that_are_written_in_between_keep_a_sweep_going() {
    run(|| async {
        let due = Due::records(10, FULL).await;
        due.sweep_failing(|call| ![5, 10].contains(&call)).await;
        assert_eq!(due.counts().await, [250, 250, 50]);
        due.sweep_later().await;
        assert_eq!(due.counts().await, [450, 250, 250]);
    });
}

/// The first call is answered with a status that nobody knows, and one of its outcomes cannot be
/// written. The process dies before the third call. By then the second call has shown that writes
/// succeed again, so the transmission of that record must be stored already.
#[test]
fn a_transmission_whose_write_failed_is_stored_before_the_invocation_ends() {
    run(|| async {
        let due = Due::records(3, FULL).await;
        due.next_call_has(FaultKind::UnknownStatus);
        let (mut calls, mut has_failed) = (0, false);
        due.world.wire.follow(Box::new(move |call| {
            calls += i32::from(call.operation == "BatchMeterUsage");
            let fails = calls == 1 && call.operation == "UpdateItem" && !has_failed;
            has_failed |= fails;
            match calls {
                3.. => Fate::DiesBefore,
                _ if fails => Fate::Failed,
                _ => Fate::Answered,
            }
        }));
        let error = due.world.sweep().await.unwrap_err();
        due.world.wire.heal();
        assert!(error.contains("died"), "{error}");
        assert_eq!(due.world.wire.faults_met(), 2);
        assert_eq!(due.counts().await, [50, 50, 25]);
        let calls = due.world.emulator.calls();
        for record in due.stored().await {
            if record.state == State::Accepted {
                continue;
            }
            let written = record.sent.doubtful + record.sent.answered;
            assert_eq!(written as usize, sent(&record, &calls), "{record:?}");
        }
        due.sweep_later().await;
        assert_eq!(due.counts().await, [100, 75, 75]);
    });
}

/// A record can have thousands of allocations, so the records of a whole page of the index may not
/// fit in the memory.
#[test]
fn records_are_read_a_hundred_at_a_time_until_the_queue_is_full() {
    run(|| async {
        let share = |n: u32| Allocation {
            tags: TagSet::try_from(Tags::from([("team".to_owned(), format!("{n:03}"))])).unwrap(),
            quantity: "1".parse().unwrap(),
        };
        // A hundred such records fill the queue.
        let shares: Vec<Allocation> = (0..250).map(share).collect();
        let due = Due::split(8, FULL, &shares).await;
        let reads = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&reads);
        let mut has_sent = false;
        due.world.wire.follow(Box::new(move |call| {
            has_sent |= call.operation == "BatchMeterUsage";
            if call.operation == "BatchGetItem" && !has_sent {
                counted.fetch_add(1, Ordering::Relaxed);
            }
            Fate::Answered
        }));
        due.world.sweep().await.unwrap();
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        assert_eq!(due.counts().await, [200, 200, 200]);
    });
}

#[test]
fn records_that_could_not_be_read_are_read_again_in_the_same_sweep() {
    run(|| async {
        let due = Due::records(12, FULL).await;
        let mut reads = 0;
        due.world.wire.follow(Box::new(move |call| {
            let is_read = call.operation == "BatchGetItem";
            reads += i32::from(is_read);
            match is_read && reads == 2 {
                true => Fate::Failed,
                false => Fate::Answered,
            }
        }));
        let error = due.world.sweep().await.unwrap_err();
        assert!(error.contains("BatchGetItem"), "{error}");
        assert_eq!(due.counts().await, [300, 300, 300]);
    });
}

/// The records fill more than one page of the work index. The first sweep ends while it reads them,
/// and the next two end while they send them.
#[test]
fn what_a_sweep_has_no_time_for_is_sent_by_the_next_one_and_nothing_is_sent_twice() {
    run(|| async {
        let due = Due::records(11, 100).await;
        let mut before = 0;
        for (calls, sends) in [(18, false), (80, true), (500, true)] {
            due.world.sweep_within(calls).await.unwrap();
            let [sent, billed, accepted] = due.counts().await;
            assert_eq!((sent, billed), (accepted, accepted), "{calls}");
            assert_eq!(accepted > before, sends, "{calls}: {accepted}");
            assert!(accepted < due.keys.len(), "{calls}: {accepted}");
            before = accepted;
        }
        due.sweep_later().await;
        assert_eq!(due.counts().await, [1_100, 1_100, 1_100]);
    });
}

/// The answer to the write that takes the turn is lost, and the SDK repeats the write, as on Lambda.
/// The turn that it then finds is the invocation's own. The invocation dies at its first call, which
/// it makes only if it has the turn.
#[test]
fn an_invocation_that_lost_the_answer_about_its_turn_has_it_and_no_other_one_does() {
    run(|| async {
        let mut due = Due::records(1, 1).await;
        let once = clients::dynamodb(&due.world.wire);
        let config = once.config().to_builder();
        let config = config.retry_config(RetryConfig::standard()).build();
        let repeating = aws_sdk_dynamodb::Client::from_conf(config);
        let tables = due.world.ledger.tables().clone();
        due.world.functions.submitter.ledger = Ledger::new(repeating, tables);
        due.world.functions.submitter.pace = Pace::per_second(1_000_000);
        let mut has_lost = false;
        due.world.wire.follow(Box::new(move |call| {
            let is_turn = call.operation == "UpdateItem" && !has_lost;
            has_lost |= is_turn;
            match call.operation.as_str() {
                "BatchMeterUsage" => Fate::DiesBefore,
                _ if is_turn => Fate::Unanswered,
                _ => Fate::Answered,
            }
        }));
        let error = due.world.sweep().await.unwrap_err();
        due.world.wire.heal();
        assert!(error.contains("died"), "{error}");
        assert_eq!(due.world.wire.faults_met(), 2);
        let now = due.world.now.get();
        let take = async |now: Timestamp| {
            let until = now + SignedDuration::from_mins(1);
            let turn = due.world.ledger.take_turn("another", now, until).await;
            turn.unwrap()
        };
        let Turn::Busy { until } = take(now).await else {
            panic!("two invocations have the turn")
        };
        assert!(until > now && until < now + SignedDuration::from_mins(6));
        // The turn of the dead invocation is over.
        due.world.set_time(now + SignedDuration::from_mins(6));
        due.world.sweep().await.unwrap();
        assert_eq!(due.counts().await, [1, 1, 1]);
        assert_eq!(take(due.world.now.get()).await, Turn::Taken);
    });
}

#[test]
fn a_status_that_nobody_knows_may_have_been_a_success_and_ends_no_record() {
    run(|| async {
        let due = Due::records(1, 1).await;
        due.next_call_has(FaultKind::UnknownStatus);
        due.world.sweep().await.unwrap();
        let record = due.stored().await.remove(0);
        assert_eq!(record.state, State::Sealed);
        assert!(record.due.is_some(), "{record:?}");
        let once_in_doubt = Transmissions {
            doubtful: 1,
            answered: 0,
        };
        assert_eq!(record.sent, once_in_doubt);
        let code = record.outcome.expect("an outcome").code;
        assert_eq!(look_up(&code), None, "{code}");
        assert_eq!(due.counts().await, [1, 1, 0]);
        due.sweep_later().await;
        assert_eq!(due.counts().await, [2, 1, 1]);
    });
}

/// The longest time in which a connection is opened.
const CONNECT_TIME: Duration = Duration::from_millis(200);

/// A listener that nobody accepts from, and the connections that fill its queue. No further
/// connection can be opened.
async fn full_listener() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    loop {
        let connect = TcpStream::connect(address);
        match tokio::time::timeout(CONNECT_TIME, connect).await {
            Ok(connection) => queue.push(connection.unwrap()),
            Err(_) => return (listener, queue),
        }
    }
}

async fn send_without_a_connection() {
    let mut due = Due::records(1, 1).await;
    let (listener, queue) = full_listener().await;
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIME);
    let config = aws_sdk_marketplacemetering::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(format!("http://{}", listener.local_addr().unwrap()))
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("tests", "tests", None, None, "tests"))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts.build())
        .build();
    let client = aws_sdk_marketplacemetering::Client::from_conf(config);
    let submitter = &mut due.world.functions.submitter;
    let connected = std::mem::replace(&mut submitter.metering, MeteringApi::new(client));
    due.world.sweep().await.unwrap();
    drop((listener, queue));
    let record = due.stored().await.remove(0);
    assert_eq!(record.sent, Transmissions::default());
    assert_eq!((record.state, record.attempts), (State::Sealed, 1));
    assert_eq!(record.outcome.expect("an outcome").code, NOT_CONNECTED);
    due.world.functions.submitter.metering = connected;
    due.sweep_later().await;
    assert_eq!(due.counts().await, [1, 1, 1]);
}

#[test]
fn a_connection_that_is_not_opened_in_time_is_no_transmission() {
    on_a_thread(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(send_without_a_connection());
    });
}

/// Delivers messages and fires schedules every five minutes, until `time`.
async fn until(world: &World, time: &str) {
    while world.now.get() < at(time) {
        let before = world.now.get();
        let next = (before + SignedDuration::from_mins(5)).min(at(time));
        world.set_time(next);
        let reconcile = UsageHour::of(next) != UsageHour::of(before);
        world.tick(reconcile).await;
    }
}

/// Delivers an SNS message of a legacy listing with the time at which it was sent.
async fn sns(world: &World, code: &str, buyer: &Agreement, action: &str, time: &str) {
    let message = LifecycleMessage::Sns {
        topic_arn: format!(
            "arn:aws:sns:us-east-1:287250355862:aws-mp-subscription-notification-{code}"
        ),
        message: serde_json::json!({
            "action": action,
            "customer-identifier": buyer.customer_identifier,
            "product-code": code,
        })
        .to_string(),
        message_id: format!("{action}-{time}"),
        timestamp: at(time),
    };
    let delivered = world.deliver_event(function_event(message)).await;
    delivered.expect("delivered");
}

async fn the_record(world: &World, buyer: &Subscription, hour: &str) -> MeteringRecord {
    let slot = Slot {
        subscription: buyer.clone(),
        hour: hour.parse().expect("an hour"),
        dimension: "gb".parse().expect("a dimension"),
    };
    let mut records = world.ledger.records(&[slot]).await.expect("readable");
    records.pop().expect("a record")
}

/// A buyer cancels at 08:20 and buys again at 08:50. All messages are hours late, and the one of
/// 08:50 comes last. Before it comes, the timestamp of the hour 09 seems to lie between two
/// purchases. AWS Marketplace never refuses the record. It only throttles its calls.
#[test]
fn a_record_that_was_only_throttled_is_not_given_up_and_is_billed_with_its_own_hour() {
    run(|| async {
        let world = World::at(at("2026-11-21T06:20:00Z"), 7);
        let listing = Listing {
            code: "aproduct".to_owned(),
            identity: IdentityKind::Customer,
            dimensions: vec!["gb".to_owned()],
        };
        world.list(&listing).await;
        let (agreement, buyer) = world.subscribe(&listing);
        world.register(&agreement.registration_token).await;
        until(&world, "2026-11-21T09:10:00Z").await;
        let event = UsageEvent {
            dimension: "gb".parse().unwrap(),
            id: "a".parse().unwrap(),
            quantity: "2".parse().unwrap(),
            time: at("2026-11-21T09:05:00Z"),
            tags: TagSet::untagged(),
        };
        world.report(&buyer, &event).await;
        world
            .wire
            .follow(Box::new(|call| match call.operation.as_str() {
                "BatchMeterUsage" => Fate::Refused("ThrottlingException"),
                _ => Fate::Answered,
            }));
        until(&world, "2026-11-21T10:40:00Z").await;
        let frozen = the_record(&world, &buyer, "2026-11-21T09").await;
        assert_eq!(frozen.stamp, at("2026-11-21T09:00:00Z"));
        assert!(frozen.sent.answered > 0, "{frozen:?}");
        for (action, time) in [
            ("unsubscribe-success", "2026-11-21T08:20:00Z"),
            ("subscribe-success", "2026-11-21T09:40:00Z"),
        ] {
            sns(&world, &listing.code, &agreement, action, time).await;
        }
        until(&world, "2026-11-21T11:00:00Z").await;
        let profile = world.ledger.profile(&buyer).await.unwrap();
        let spans = profile.expect("a profile").lifecycle.spans();
        assert!(!spans.accept(frozen.stamp), "{spans:?}");
        let waiting = the_record(&world, &buyer, "2026-11-21T09").await;
        assert_eq!(waiting.state, State::Sealed, "{waiting:?}");
        assert_eq!(waiting.deadline, frozen.deadline);
        world.wire.heal();
        let time = "2026-11-21T08:50:00Z";
        sns(&world, &listing.code, &agreement, "subscribe-success", time).await;
        until(&world, "2026-11-21T11:30:00Z").await;
        let billed = the_record(&world, &buyer, "2026-11-21T09").await;
        assert_eq!((billed.state, billed.movements), (State::Accepted, 0));
        let metered = world.emulator.metered();
        let lines: Vec<(Timestamp, &str)> = metered
            .iter()
            .map(|one| (one.hour, one.quantity.as_str()))
            .collect();
        assert_eq!(lines, [(at("2026-11-21T09:00:00Z"), "2")]);
    });
}
