//! A borrowed store is a store: whoever puts two together need not own them.

use alloc::vec::Vec;

use super::{Loaded, Machine, Page, Query, Store, Writes};

impl<M: Machine, S: Store<M> + Send> Store<M> for &mut S
where
    M::Key: Send,
{
    type Error = S::Error;

    fn transact(
        &mut self,
        keys: Vec<M::Key>,
        decide: impl FnMut(&Loaded<M>) -> Writes<M> + Send,
    ) -> impl Future<Output = Result<(), S::Error>> + Send {
        S::transact(self, keys, decide)
    }
}

macro_rules! read_through {
    ($($borrowed:ty),*) => {$(
        impl<M: Machine, Q: Query<M>> Query<M> for $borrowed {
            type Error = Q::Error;

            fn get(
                &self,
                key: &M::Key,
            ) -> impl Future<Output = Result<Option<M::Record>, Q::Error>> + Send {
                Q::get(self, key)
            }

            fn scan(
                &self,
                from: &M::Key,
                until: &M::Key,
                limit: usize,
            ) -> impl Future<Output = Result<Page<M>, Q::Error>> + Send {
                Q::scan(self, from, until, limit)
            }

            fn look<T: Send>(
                &self,
                key: &M::Key,
                take: impl FnOnce(&M::Record) -> Option<T> + Send,
            ) -> impl Future<Output = Result<Option<T>, Q::Error>> + Send {
                Q::look(self, key, take)
            }

            fn select<T: Send>(
                &self,
                from: &M::Key,
                until: &M::Key,
                limit: usize,
                take: impl FnMut(&M::Key, &M::Record) -> Option<T> + Send,
            ) -> impl Future<Output = Result<Vec<T>, Q::Error>> + Send {
                Q::select(self, from, until, limit, take)
            }
        }
    )*};
}

read_through!(&Q, &mut Q);
