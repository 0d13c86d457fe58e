//! The books as one HTML page. The page loads no other files and runs no script. It suits light and
//! dark, wide and narrow screens.

use std::collections::{BTreeMap, BTreeSet};

use ledger::books::{Line, SubscriptionBooks};
use marketplace::books::{Books, SlotBooks};
use marketplace::{Month, Slot, State, Subscription, UsageHour};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::view;

/// The largest number of slots that are listed. Further slots are only counted.
const SLOTS_MAX: usize = 500;

/// The most important fact about a slot, a day or an hour. The later variants need a person's
/// attention more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    Billed,
    Moved,
    DryRun,
    Pending,
    Over,
    Lost,
    Held,
    Unbalanced,
}

impl Mark {
    const ALL: [Self; 8] = [
        Self::Billed,
        Self::Moved,
        Self::DryRun,
        Self::Pending,
        Self::Over,
        Self::Lost,
        Self::Held,
        Self::Unbalanced,
    ];

    fn of(slot: &SlotBooks) -> Self {
        let waits = [State::Refused, State::Disputed, State::Unconfirmed];
        match slot.state {
            _ if slot.held.is_positive() => Self::Held,
            Some(state) if waits.contains(&state) => Self::Held,
            _ if slot.written_off.is_positive() => Self::Lost,
            // The books count the shortfall of AWS Marketplace's slot as lost, less the part that a
            // decision moved elsewhere.
            Some(State::Conflict) if slot.recorded > slot.at_aws => Self::Lost,
            _ if slot.uncounted.is_negative() => Self::Over,
            _ if slot.uncounted.is_positive() => Self::Pending,
            None | Some(State::Sealed) => Self::Pending,
            Some(State::DryRun) => Self::DryRun,
            Some(State::Moved | State::Expired) => Self::Moved,
            Some(State::Conflict) if slot.at_aws.is_zero() && slot.carried_out.is_positive() => {
                Self::Moved
            }
            Some(_) => Self::Billed,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Billed => "billed",
            Self::Moved => "moved",
            Self::DryRun => "dry",
            Self::Pending => "pending",
            Self::Over => "over",
            Self::Lost => "lost",
            Self::Held => "held",
            Self::Unbalanced => "unbalanced",
        }
    }

    /// The character that shows the mark to readers who cannot see the color.
    fn sign(self) -> &'static str {
        match self {
            Self::Billed => "",
            Self::Moved => "→",
            Self::DryRun => "d",
            Self::Pending => "…",
            Self::Over => "+",
            Self::Lost => "×",
            Self::Held => "!",
            Self::Unbalanced => "?",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Billed => "billed",
            Self::Moved => "billed with a later hour",
            Self::DryRun => "dry run, never sent",
            Self::Pending => "to be sealed or sent",
            Self::Over => "metered too much",
            Self::Lost => "lost or written off",
            Self::Held => "waits for a person",
            Self::Unbalanced => "does not balance",
        }
    }
}

/// The content of the page, collected one subscription after the other.
#[derive(Debug, Default)]
pub struct Page {
    subscriptions: Vec<(Subscription, Books, BTreeMap<i64, Mark>)>,
    hours: BTreeMap<UsageHour, Mark>,
    slots: Vec<(Slot, Mark, SlotBooks)>,
    slots_more: usize,
}

impl Page {
    /// Adds the books of one subscription.
    pub fn add(&mut self, books: &SubscriptionBooks) {
        let unbalanced: BTreeSet<_> = books
            .unbalanced
            .iter()
            .map(|slot| (slot.hour, &slot.dimension))
            .collect();
        let mut days = BTreeMap::new();
        for line in &books.lines {
            let mark = match unbalanced.contains(&(line.hour, &line.dimension)) {
                true => Mark::Unbalanced,
                false => Mark::of(&line.slot),
            };
            raise(&mut days, day_of(line.hour), mark);
            raise(&mut self.hours, line.hour, mark);
            if mark >= Mark::Over {
                self.list(line, mark);
            }
        }
        self.subscriptions
            .push((books.subscription.clone(), books.sum.clone(), days));
    }

    fn list(&mut self, line: &Line, mark: Mark) {
        if self.slots.len() == SLOTS_MAX {
            self.slots_more = self.slots_more.saturating_add(1);
            return;
        }
        let slot = Slot {
            subscription: line.subscription.clone(),
            hour: line.hour,
            dimension: line.dimension.clone(),
        };
        self.slots.push((slot, mark, line.slot.clone()));
    }

    /// The page as HTML.
    pub fn render(&self, month: Month, sum: &Books, is_balanced: bool) -> String {
        let title = format!("The books of {month}");
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    main {
                        h1 { (title) }
                        (verdict(sum, is_balanced))
                        (places(sum))
                        (legend())
                        (self.by_hour(month))
                        (self.by_day(month))
                        (self.slots_that_need_attention())
                    }
                }
            }
        };
        page.into_string()
    }

    fn by_hour(&self, month: Month) -> Markup {
        let first = month.first_hour();
        let days = day_of(month.last_hour());
        html! {
            section {
                h2 { "Hour by hour" }
                p.note { "Each row is a day and each column an hour, in UTC. A cell shows the most important fact about its hour." }
                div.grid.hours role="img" aria-label="The month, hour by hour" {
                    span {}
                    @for hour in 0..24 {
                        span.head { @if hour % 6 == 0 { (hour) } }
                    }
                    @for day in 1..=days {
                        span.head { (day) }
                        @for hour in 0..24 {
                            @let at = first.plus((day - 1) * 24 + hour);
                            (cell(self.hours.get(&at).copied(), &at.to_string()))
                        }
                    }
                }
            }
        }
    }

    fn by_day(&self, month: Month) -> Markup {
        let days = day_of(month.last_hour());
        html! {
            section {
                h2 { "Subscription by subscription" }
                @if self.subscriptions.is_empty() { p { "There is none." } }
                @for (subscription, sum, marks) in &self.subscriptions {
                    article {
                        h3 { (subscription) }
                        p.note {
                            (sum.ingested) " ingested, " (sum.accepted) " accepted, " (sum.pending) " pending"
                            @if !sum.held.is_zero() { ", " (sum.held) " held" }
                            @if !sum.lost.is_zero() { ", " (sum.lost) " lost" }
                            @if !sum.over_metered.is_zero() { ", " (sum.over_metered) " over-metered" }
                        }
                        div.grid.days role="img" aria-label={ "The month of " (subscription) ", day by day" } {
                            @for day in 1..=days {
                                (cell(marks.get(&day).copied(), &format!("{month}-{day:02}")))
                            }
                        }
                    }
                }
            }
        }
    }

    fn slots_that_need_attention(&self) -> Markup {
        html! {
            section {
                h2 { "Slots that need attention" }
                @if self.slots.is_empty() {
                    p { "Nothing waits for a person, nothing is lost, nothing was metered too much." }
                } @else {
                    div.wide {
                        table {
                            thead { tr { th { "slot" } th { "" } th { "rows" } th { "metered" } th { "held" } th { "written off" } th { "not counted" } } }
                            tbody {
                                @for (key, mark, slot) in &self.slots {
                                    tr {
                                        td.slot { (key.to_string()) }
                                        td { span class={ "chip " (mark.class()) } { (mark.words()) } }
                                        td.n { (slot.own) @if !slot.carried_in.is_zero() { " + " (slot.carried_in) } }
                                        td.n { (slot.recorded) }
                                        td.n { (slot.held) }
                                        td.n { (slot.written_off) }
                                        td.n { (slot.uncounted) }
                                    }
                                }
                            }
                        }
                    }
                    @if self.slots_more > 0 {
                        p.note { (self.slots_more) " more; metering books --csv prints all slots." }
                    }
                    p.note { "metering late list, metering adjust plan and metering records show print details." }
                }
            }
        }
    }
}

fn raise<K: Ord>(marks: &mut BTreeMap<K, Mark>, key: K, mark: Mark) {
    let highest = marks.entry(key).or_insert(mark);
    *highest = mark.max(*highest);
}

/// The day of the month, from 1.
fn day_of(hour: UsageHour) -> i64 {
    hour.since(hour.month().first_hour()) / 24 + 1
}

fn cell(mark: Option<Mark>, when: &str) -> Markup {
    match mark {
        Some(mark) => html! {
            span class={ "cell " (mark.class()) } title={ (when) ": " (mark.words()) } { (mark.sign()) }
        },
        None => html! { span.cell title={ (when) ": no usage" } {} },
    }
}

fn verdict(sum: &Books, is_balanced: bool) -> Markup {
    html! {
        p class={ "verdict " (if is_balanced { "good" } else { "bad" }) } {
            @if is_balanced { "They balance." } @else { "They do not balance." }
            " Counted again from " (sum.rows) " usage rows; " (sum.rows_set_aside) " more were set aside."
        }
    }
}

fn places(sum: &Books) -> Markup {
    html! {
        dl {
            @for (place, total, meaning) in view::book_places(sum) {
                div {
                    dt { (place.replace('_', " ")) }
                    dd.total { (total) }
                    dd { (meaning) }
                }
            }
        }
    }
}

fn legend() -> Markup {
    html! {
        ul.legend {
            @for mark in Mark::ALL {
                li { span class={ "cell " (mark.class()) } { (mark.sign()) } (mark.words()) }
            }
            li { span.cell {} "no usage" }
        }
    }
}

const STYLE: &str = "
:root{--ink:#16191f;--soft:#545b64;--paper:#fff;--line:#d5dbdb;--none:#eceff0;--billed:#1d8348;--moved:#5dade2;--dry:#a569bd;--pending:#f4d03f;--over:#dc7633;--lost:#7b241c;--held:#c0392b;--unbalanced:#111}
@media(prefers-color-scheme:dark){:root{--ink:#e9ebed;--soft:#a9b3bd;--paper:#0f1419;--line:#38424d;--none:#1e262e;--billed:#2ecc71;--moved:#3498db;--dry:#af7ac5;--pending:#d4ac0d;--over:#e67e22;--lost:#a93226;--held:#ff5c49;--unbalanced:#fff}}
*{box-sizing:border-box}
body{margin:0;font:1rem/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
main{max-width:60rem;margin:0 auto;padding:1rem}
h1{font-size:1.6rem;line-height:1.25;margin:.5rem 0}
h2{font-size:1.2rem;margin:2rem 0 .25rem}
h3{font-size:.9rem;margin:1rem 0 0;overflow-wrap:anywhere}
.note{color:var(--soft);font-size:.875rem;margin:.1rem 0 .5rem}
.verdict{padding:.6rem .8rem;border-left:.35rem solid;background:var(--none)}
.good{border-color:var(--billed)}.bad{border-color:var(--held);font-weight:600}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(9.5rem,1fr));gap:.5rem;margin:1rem 0}
dl div{border:1px solid var(--line);border-radius:.3rem;padding:.5rem .6rem}
dt{font-size:.8rem;color:var(--soft)}dd{margin:0;font-size:.75rem;line-height:1.3;color:var(--soft)}
dd.total{font-size:1.15rem;color:var(--ink);font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.3rem 1rem;padding:0;margin:1rem 0;font-size:.85rem}
.legend li{display:flex;align-items:center;gap:.4rem}.legend .cell{width:1.1rem;height:1.1rem}
.grid{display:grid;gap:2px;font-size:.6rem;line-height:1}
.hours{grid-template-columns:1.4rem repeat(24,minmax(0,1fr));max-width:44rem}
.days{grid-template-columns:repeat(31,minmax(0,1fr));max-width:44rem}
.head{color:var(--soft);text-align:right;padding-right:.2rem;align-self:center}
.cell{display:flex;align-items:center;justify-content:center;background:var(--none);border-radius:2px;min-height:.85rem;font-weight:700;color:#fff;overflow:hidden}
.days .cell{min-height:1.4rem}
.billed{background:var(--billed)}.moved{background:var(--moved);color:#111}.dry{background:var(--dry)}.pending{background:var(--pending);color:#111}
.over{background:var(--over);color:#111}.lost{background:var(--lost)}.held{background:var(--held)}.unbalanced{background:var(--unbalanced);color:var(--paper)}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.85rem;width:100%}
th,td{text-align:left;padding:.35rem .5rem;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:500}.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.slot{overflow-wrap:anywhere;min-width:11rem}
.chip{display:inline-block;border-radius:.2rem;padding:.05rem .4rem;white-space:nowrap;color:#fff}
.chip.over,.chip.pending,.chip.moved{color:#111}.chip.unbalanced{color:var(--paper)}
";

#[cfg(test)]
mod tests;
