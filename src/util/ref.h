// Ref<T>: an intrusive reference-counted pointer for one thread: one word, no atomics.
//
// For objects of one worker whose pending I/O may outlive their owner. T derives from RefCounted<T>.
#pragma once

#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>

namespace remora {

template <class T>
using RefCounted = boost::intrusive_ref_counter<T, boost::thread_unsafe_counter>;
template <class T>
using Ref = boost::intrusive_ptr<T>;

}  // namespace remora
