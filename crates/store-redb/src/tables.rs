//! The tables, and what may be done with them: a snapshot reads, a transaction writes too.

use std::cell::{Cell, OnceCell, RefCell};
use std::ops::ControlFlow;

use redb::{
    AccessGuard, ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata, TableDefinition,
    WriteTransaction,
};

use crate::errors::Fault;
use crate::keys::{EVERYTHING, Stretch};
use crate::rows::{decode, encode};
use crate::sequence::Meta;

/// The schema that this Larder writes.
pub const SCHEMA: u32 = 1;

/// What a store of ours says of itself.
pub(crate) const MAGIC: &[u8] = b"larder";

/// Rows of [`Table::Meta`].
pub(crate) const MAGIC_ROW: &[u8] = b"magic";
pub(crate) const SCHEMA_ROW: &[u8] = b"schema";
const STORE_ROW: &[u8] = b"store";
/// When a sweep last began, in milliseconds.
pub(crate) const SWEPT_ROW: &[u8] = b"swept";

type Raw = &'static [u8];

/// A table. Keys are made in [`keys`](crate::keys), values in [`rows`](crate::rows).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    /// Whose file it is, its schema, and what the store as a whole counts.
    Meta,
    /// key → the entry's row.
    Entries,
    /// key → the entry's members, in order.
    Members,
    /// kind, id → the item's row.
    Items,
    /// kind, id, key → the member's state: who holds an item.
    Holders,
    /// tag, key → nothing.
    Tags,
    /// name → what was invalidated as a whole.
    Markers,
    /// Whether it is marked, due time, key → nothing: entries that want a refresh without a reader.
    Wanted,
    /// seq → a line of the feed.
    Changes,
    /// number → a line of the refresh log.
    Log,
    /// key, number → nothing.
    LogByKey,
    /// host, actor, resource → the budget's row.
    Budgets,
    /// number → a reservation.
    Reservations,
    /// host, credential → actor.
    Actors,
    /// key, number → a piece of what a list shows of the entry's members. Files of the first Larders have no such table
    /// before something is written to them.
    Sheets,
}

/// All tables, in the order of the enum.
pub(crate) const TABLES: [Table; 15] = [
    Table::Meta,
    Table::Entries,
    Table::Members,
    Table::Items,
    Table::Holders,
    Table::Tags,
    Table::Markers,
    Table::Wanted,
    Table::Changes,
    Table::Log,
    Table::LogByKey,
    Table::Budgets,
    Table::Reservations,
    Table::Actors,
    Table::Sheets,
];

impl Table {
    /// Its name in the file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Table::Meta => "larder",
            Table::Entries => "entries",
            Table::Members => "members",
            Table::Items => "items",
            Table::Holders => "members_by_item",
            Table::Tags => "entries_by_tag",
            Table::Markers => "markers",
            Table::Wanted => "entries_wanted",
            Table::Changes => "changes",
            Table::Log => "refresh_log",
            Table::LogByKey => "refresh_log_by_key",
            Table::Budgets => "budgets",
            Table::Reservations => "reservations",
            Table::Actors => "actors",
            Table::Sheets => "sheets",
        }
    }

    /// As redb wants it.
    pub(crate) fn definition(self) -> TableDefinition<'static, Raw, Raw> {
        TableDefinition::new(self.name())
    }
}

/// Whether to go on with a walk.
pub(crate) type Step = Result<ControlFlow<()>, Fault>;

/// Go on.
pub(crate) const ON: Step = Ok(ControlFlow::Continue(()));

/// Enough.
pub(crate) const STOP: Step = Ok(ControlFlow::Break(()));

/// What can be read, inside a transaction that writes and outside.
pub(crate) trait Look {
    /// Hands a row's value to `read`, if there is one.
    fn get<T>(
        &self,
        table: Table,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault>;

    /// Hands rows to `each`, in order, until it stops.
    fn walk(
        &self,
        table: Table,
        stretch: Stretch<'_>,
        each: impl FnMut(&[u8], &[u8]) -> Step,
    ) -> Result<(), Fault>;

    /// The same from the end.
    fn walk_back(
        &self,
        table: Table,
        stretch: Stretch<'_>,
        each: impl FnMut(&[u8], &[u8]) -> Step,
    ) -> Result<(), Fault>;

    /// How many rows there are; takes no longer the more there are.
    fn count(&self, table: Table) -> Result<u64, Fault>;

    /// The store's own row.
    fn meta(&self) -> Result<Meta, Fault>;

    /// Whether there is such a row.
    fn has(&self, table: Table, key: &[u8]) -> Result<bool, Fault> {
        Ok(self.get(table, key, |_| Ok(()))?.is_some())
    }

    /// The keys of a stretch, to be gone through while the table changes.
    fn keys(&self, table: Table, stretch: Stretch<'_>) -> Result<Vec<Vec<u8>>, Fault> {
        let mut keys = Vec::new();
        self.walk(table, stretch, |key, _| {
            keys.push(key.to_vec());
            ON
        })?;
        Ok(keys)
    }
}

type Pair<'a> = redb::Result<(AccessGuard<'a, Raw>, AccessGuard<'a, Raw>), redb::StorageError>;

fn go<'a>(
    rows: impl Iterator<Item = Pair<'a>>,
    mut each: impl FnMut(&[u8], &[u8]) -> Step,
) -> Result<(), Fault> {
    for row in rows {
        let (key, value) = row?;
        if each(key.value(), value.value())?.is_break() {
            break;
        }
    }
    Ok(())
}

fn read_meta(value: &[u8]) -> Result<Meta, Fault> {
    decode(Table::Meta, STORE_ROW, value)
}

fn no_meta() -> Fault {
    Fault::Row { table: Table::Meta.name(), row: "store".to_owned(), found: "nothing".to_owned() }
}

/// One state of the store, however much is written meanwhile.
pub(crate) struct Snapshot {
    transaction: ReadTransaction,
    open: [OnceCell<ReadOnlyTable<Raw, Raw>>; TABLES.len()],
}

impl Snapshot {
    pub(crate) fn new(transaction: ReadTransaction) -> Self {
        Snapshot { transaction, open: Default::default() }
    }

    /// Whether there are no tables at all, of whatever name.
    pub(crate) fn is_empty(&self) -> Result<bool, Fault> {
        let tables = self.transaction.list_tables()?.count();
        Ok(tables == 0 && self.transaction.list_multimap_tables()?.count() == 0)
    }

    fn table(&self, table: Table) -> Result<&ReadOnlyTable<Raw, Raw>, Fault> {
        let cell = &self.open[table as usize];
        if let Some(open) = cell.get() {
            return Ok(open);
        }
        let open = self.transaction.open_table(table.definition())?;
        Ok(cell.get_or_init(|| open))
    }
}

impl Look for Snapshot {
    fn get<T>(
        &self,
        table: Table,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        ReadableTable::get(self.table(table)?, key)?.map(|value| read(value.value())).transpose()
    }

    fn walk(
        &self,
        table: Table,
        stretch: Stretch<'_>,
        each: impl FnMut(&[u8], &[u8]) -> Step,
    ) -> Result<(), Fault> {
        go(ReadableTable::range::<&[u8]>(self.table(table)?, stretch)?, each)
    }

    fn walk_back(
        &self,
        table: Table,
        stretch: Stretch<'_>,
        each: impl FnMut(&[u8], &[u8]) -> Step,
    ) -> Result<(), Fault> {
        go(ReadableTable::range::<&[u8]>(self.table(table)?, stretch)?.rev(), each)
    }

    fn count(&self, table: Table) -> Result<u64, Fault> {
        Ok(self.table(table)?.len()?)
    }

    fn meta(&self) -> Result<Meta, Fault> {
        self.get(Table::Meta, STORE_ROW, read_meta)?.ok_or_else(no_meta)
    }
}

/// A transaction that writes. All requests of a group are done in one.
pub(crate) struct Tx<'t> {
    tables: [RefCell<redb::Table<'t, Raw, Raw>>; TABLES.len()],
    meta: Cell<Meta>,
    before: Meta,
}

impl<'t> Tx<'t> {
    /// Opens all tables of a transaction.
    pub(crate) fn new(transaction: &'t WriteTransaction) -> Result<Self, Fault> {
        let mut tables = Vec::with_capacity(TABLES.len());
        for table in TABLES {
            tables.push(RefCell::new(transaction.open_table(table.definition())?));
        }
        let Ok(tables) = <[_; TABLES.len()]>::try_from(tables) else {
            return Err(Fault::Wrong("there are as many tables as there are".to_owned()));
        };
        let meta = {
            let table: &RefCell<redb::Table<'_, Raw, Raw>> = &tables[Table::Meta as usize];
            let table = table.borrow();
            let row = table.get(STORE_ROW)?.ok_or_else(no_meta)?;
            read_meta(row.value())?
        };
        Ok(Tx { tables, meta: Cell::new(meta), before: meta })
    }

    /// Writes a row.
    pub(crate) fn put(&self, table: Table, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        self.tables[table as usize].borrow_mut().insert(key, value)?;
        Ok(())
    }

    /// Removes a row; says whether there was one.
    pub(crate) fn remove(&self, table: Table, key: &[u8]) -> Result<bool, Fault> {
        Ok(self.tables[table as usize].borrow_mut().remove(key)?.is_some())
    }

    /// Changes the store's own row.
    pub(crate) fn change_meta<T>(&self, change: impl FnOnce(&mut Meta) -> T) -> T {
        let mut meta = self.meta.get();
        let done = change(&mut meta);
        self.meta.set(meta);
        done
    }

    /// Writes what is kept in memory until the end of a transaction.
    pub(crate) fn finish(self) -> Result<(), Fault> {
        let meta = Meta { commits: self.before.commits + 1, ..self.meta.get() };
        self.put(Table::Meta, STORE_ROW, &encode(&meta)?)
    }
}

/// The first rows of a new store, unless another process has made it a moment ago.
pub(crate) fn make(transaction: &WriteTransaction, meta: &Meta) -> Result<(), Fault> {
    for table in TABLES {
        transaction.open_table(table.definition())?;
    }
    let mut rows = transaction.open_table(Table::Meta.definition())?;
    if rows.get(MAGIC_ROW)?.is_some() {
        return Ok(());
    }
    rows.insert(MAGIC_ROW, MAGIC)?;
    rows.insert(SCHEMA_ROW, &SCHEMA.to_be_bytes()[..])?;
    rows.insert(STORE_ROW, encode(meta)?.as_slice())?;
    Ok(())
}

impl Look for Tx<'_> {
    fn get<T>(
        &self,
        table: Table,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        self.tables[table as usize].borrow().get(key)?.map(|value| read(value.value())).transpose()
    }

    fn walk(
        &self,
        table: Table,
        stretch: Stretch<'_>,
        each: impl FnMut(&[u8], &[u8]) -> Step,
    ) -> Result<(), Fault> {
        go(self.tables[table as usize].borrow().range::<&[u8]>(stretch)?, each)
    }

    fn walk_back(
        &self,
        table: Table,
        stretch: Stretch<'_>,
        each: impl FnMut(&[u8], &[u8]) -> Step,
    ) -> Result<(), Fault> {
        go(self.tables[table as usize].borrow().range::<&[u8]>(stretch)?.rev(), each)
    }

    fn count(&self, table: Table) -> Result<u64, Fault> {
        Ok(self.tables[table as usize].borrow().len()?)
    }

    fn meta(&self) -> Result<Meta, Fault> {
        Ok(self.meta.get())
    }
}

/// Counts rows of a stretch, but no more than `most`.
pub(crate) fn count_upto(
    look: &impl Look,
    table: Table,
    stretch: Stretch<'_>,
    most: u64,
) -> Result<u64, Fault> {
    let mut count = 0;
    look.walk(table, stretch, |_, _| {
        count += 1;
        if count < most { ON } else { STOP }
    })?;
    Ok(count)
}

/// All rows of a table, each understood by `read`.
pub(crate) fn all<T>(
    look: &impl Look,
    table: Table,
    read: impl Fn(&[u8], &[u8]) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut rows = Vec::new();
    look.walk(table, EVERYTHING, |key, value| {
        rows.push(read(key, value)?);
        ON
    })?;
    Ok(rows)
}
