//! The progress of sealing and recounting: the stack's watermark, the progress of each shard, and
//! the progress of the reconciler's sweeps.

use marketplace::{Subscription, UsageHour};

use crate::error::{LedgerError, Malformed, Written};
use crate::item::{Item, Reader, number, put_opt, text};
use crate::item_update::ItemUpdate;
use crate::{Consistency, Ledger, SHARDS};

const WATERMARK: (&str, &str) = ("stack", "watermark");

/// A shard's progress through the hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardProgress {
    /// The number of the shard, 0 to [`SHARDS`](crate::SHARDS) - 1.
    pub shard: u8,
    /// Every live subscription of the shard is sealed through this hour.
    pub sealed_through: UsageHour,
    /// The subscription after which a run broke off in the next hour: that hour is sealed for the
    /// subscriptions up to and including this one. `None` if no subscription is sealed in it.
    pub place: Option<Subscription>,
    /// The version of the item; 0 if nothing is stored. Every write raises it.
    pub version: u64,
}

impl ShardProgress {
    fn key(shard: u8) -> String {
        format!("shard#{shard}")
    }

    fn of_item(shard: u8, item: &Item) -> Result<Self, Malformed> {
        let read = Reader::new(item);
        Ok(Self {
            shard,
            sealed_through: read.parsed("sealed_through")?,
            place: read.parsed_opt("place")?,
            version: read.version()?,
        })
    }

    fn to_item(&self) -> Item {
        let mut item = Item::from([
            ("subscription".to_owned(), text(Self::key(self.shard))),
            ("item".to_owned(), text("progress")),
            ("version".to_owned(), number(self.version)),
            ("sealed_through".to_owned(), text(self.sealed_through)),
        ]);
        put_opt(&mut item, "place", self.place.as_ref());
        item
    }
}

impl Ledger {
    /// The hour through which rows may have been read for sealing, strongly consistent; `None`
    /// before the first run.
    pub async fn watermark(&self) -> Result<Option<UsageHour>, LedgerError> {
        let item = self
            .get(&self.tables.metering_records, WATERMARK.0, WATERMARK.1)
            .await?;
        Ok(match &item {
            Some(item) => Some(Reader::new(item).parsed("sealing_through")?),
            None => None,
        })
    }

    /// Raises the watermark; it never falls. Call it **before** reading any row of the hour.
    pub async fn raise_watermark(&self, hour: UsageHour) -> Result<(), LedgerError> {
        let table = &self.tables.metering_records;
        // The order of hours is the order of their texts.
        let is_higher =
            "attribute_not_exists(#sealing_through) OR #sealing_through < :sealing_through";
        let request = ItemUpdate::new()
            .set("sealing_through", text(hour))
            .fixed_version()
            .request(self, table, WATERMARK)
            .condition_expression(is_higher);
        // A failed condition means that the watermark is at this hour or later already.
        self.write_if("UpdateItem", table, || request.clone().send())
            .await
            .map(drop)
    }

    /// A shard's progress, strongly consistent; `None` before its first run.
    pub async fn shard_progress(&self, shard: u8) -> Result<Option<ShardProgress>, LedgerError> {
        let item = self
            .get(
                &self.tables.metering_records,
                &ShardProgress::key(shard),
                "progress",
            )
            .await?;
        Ok(match &item {
            Some(item) => Some(ShardProgress::of_item(shard, item)?),
            None => None,
        })
    }

    /// The progress of every shard, in the order of the shards, strongly consistent. One request
    /// reads all of them, because each run of the sealer needs them. A damaged item is an error in
    /// its shard's place, and the others can be read.
    pub async fn progress_of_shards(
        &self,
    ) -> Result<Vec<Result<Option<ShardProgress>, Malformed>>, LedgerError> {
        let keys = (0..SHARDS)
            .map(|shard| {
                Item::from([
                    ("subscription".to_owned(), text(ShardProgress::key(shard))),
                    ("item".to_owned(), text("progress")),
                ])
            })
            .collect();
        let items = self.batch_get(keys, Consistency::Strong).await?;
        let progress_of = |shard: u8| {
            let key = text(ShardProgress::key(shard));
            let item = items
                .iter()
                .find(|item| item.get("subscription") == Some(&key));
            item.map(|item| ShardProgress::of_item(shard, item))
                .transpose()
        };
        Ok((0..SHARDS).map(progress_of).collect())
    }

    /// Creates a shard's progress, unless there is one.
    pub async fn create_shard_progress(
        &self,
        shard: u8,
        sealed_through: UsageHour,
    ) -> Result<Written, LedgerError> {
        let progress = ShardProgress {
            shard,
            sealed_through,
            place: None,
            version: 1,
        };
        self.put_new(&self.tables.metering_records, progress.to_item())
            .await
    }

    /// Moves a shard's progress on, if it was not changed since `old` was read.
    pub async fn change_shard_progress(
        &self,
        old: &ShardProgress,
        new: &ShardProgress,
    ) -> Result<Written, LedgerError> {
        let table = &self.tables.metering_records;
        self.change(table, &old.to_item(), &new.to_item()).await
    }

    /// The progress of one of the reconciler's sweeps, strongly consistent; `None` before its first
    /// run.
    pub async fn sweep_progress(&self, name: &str) -> Result<Option<SweepProgress>, LedgerError> {
        let item = self
            .get(&self.tables.metering_records, SWEEPS, name)
            .await?;
        let Some(item) = item else { return Ok(None) };
        let read = Reader::new(&item);
        Ok(Some(SweepProgress {
            through: read.parsed("through")?,
            version: read.version()?,
        }))
    }

    /// Creates a sweep's progress, unless there is one.
    pub async fn create_sweep_progress(
        &self,
        name: &str,
        through: UsageHour,
    ) -> Result<Written, LedgerError> {
        let item = SweepProgress {
            through,
            version: 1,
        }
        .to_item(name);
        self.put_new(&self.tables.metering_records, item).await
    }

    /// Moves a sweep's progress on to an hour, if it was not changed since `old` was read.
    pub async fn advance_sweep_progress(
        &self,
        name: &str,
        old: &SweepProgress,
        through: UsageHour,
    ) -> Result<Written, LedgerError> {
        let mut new = old.clone();
        new.advance(through);
        let table = &self.tables.metering_records;
        self.change(table, &old.to_item(name), &new.to_item(name))
            .await
    }
}

/// The partition key of the progress of the reconciler's sweeps.
const SWEEPS: &str = "sweeps";

/// The progress of one of the reconciler's sweeps over the hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepProgress {
    /// The sweep has done every hour up to and including this one.
    pub through: UsageHour,
    /// The version of the item. Every write raises it.
    pub version: u64,
}

impl SweepProgress {
    /// Changes the progress as its write does: it sets `through` and raises the version.
    pub fn advance(&mut self, through: UsageHour) {
        self.through = through;
        self.version += 1;
    }

    fn to_item(&self, name: &str) -> Item {
        Item::from([
            ("subscription".to_owned(), text(SWEEPS)),
            ("item".to_owned(), text(name)),
            ("version".to_owned(), number(self.version)),
            ("through".to_owned(), text(self.through)),
        ])
    }
}
