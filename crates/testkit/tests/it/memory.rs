//! The reference store against the contract that all stores keep.

use larder_testkit::MemoryStore;
use larder_testkit::contract::Place;

struct InMemory(MemoryStore);

impl Place for InMemory {
    type Store = MemoryStore;

    fn fresh() -> Self {
        InMemory(MemoryStore::new())
    }

    async fn open(&self) -> MemoryStore {
        self.0.clone()
    }
}

larder_testkit::contract_suite!(InMemory);
